"""The Functions app."""

import gc

# Imported objects live as long as the process, so the garbage collector never needs to look at them.
gc.disable()

from shared.bootstrap import build_app  # noqa: E402 - see above

app = build_app()

gc.freeze()
gc.enable()
