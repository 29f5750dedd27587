"""The Functions app."""

import gc

# What comes with these imports stays for good, so the collector need not look at it: neither meanwhile nor ever after.
gc.disable()

from shared.bootstrap import build_app  # noqa: E402 - see above

app = build_app()

gc.freeze()
gc.enable()
