"""`python -m shared.rotate`: rotate keys now, with the settings of the app. Safe beside live traffic, and to repeat."""

import argparse
import asyncio
import logging
import os
import sys
from datetime import timedelta
from functools import partial

from shared.bootstrap import build
from shared.domain.errors import Unavailable
from shared.domain.secret import DATA_KEY_RETENTION
from shared.settings import SettingsError
from shared.telemetry import WithFields, quiet_libraries
from shared.usecases.upkeep.rotate import Rotation, forget_data_keys, make_data_key, reseal, rewrap_data_keys

NEEDED = "{} values need it; rotate first (--resume names those that do not open)"
WAITS = f"it was the newest until less than {DATA_KEY_RETENTION.total_seconds() / 60:.0f} minutes ago; try later"


def main() -> None:
    """Parse, rotate, and end with 1 when something is left to do."""
    parser = argparse.ArgumentParser(prog="python -m shared.rotate", description=__doc__)
    step = parser.add_mutually_exclusive_group()
    step.add_argument("--resume", action="store_true", help="go on with the newest data key instead of making one")
    step.add_argument("--rewrap", action="store_true", help="only put data keys under the present key-encryption key")
    step.add_argument("--forget-old", action="store_true", help="delete old data keys that nothing needs any more")
    asked = parser.parse_args()
    _warn_on_stderr()
    try:
        done = asyncio.run(rotate(asked))
    except (SettingsError, Unavailable) as error:
        sys.exit(f"rotate: {error}")
    sys.exit(0 if done else 1)


async def rotate(asked: argparse.Namespace) -> bool:
    """Whether all that was asked for is done."""
    app = build(os.environ)
    say = partial(print, flush=True)
    rotation = Rotation(app, _sleep, say)
    try:
        if asked.forget_old:
            kept = await forget_data_keys(rotation)
            for key, values in kept.items():
                say(f"kept data key {key}: " + (NEEDED.format(values) if values else WAITS))
            return not kept
        wrapped = await rewrap_data_keys(rotation)
        if asked.rewrap:
            return wrapped
        if not asked.resume:
            await make_data_key(rotation)
        return await reseal(rotation) and wrapped
    finally:
        await app.close()


def _warn_on_stderr() -> None:
    """Warnings with their fields, because those say which value or data key a warning is about."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(WithFields())
    logging.getLogger().addHandler(handler)
    quiet_libraries()


async def _sleep(time: timedelta) -> None:
    await asyncio.sleep(time.total_seconds())


if __name__ == "__main__":
    main()
