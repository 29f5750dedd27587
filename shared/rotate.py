"""`python -m shared.rotate`: rotate keys now, with the app's settings. Safe during live traffic, and safe to repeat."""

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
from shared.telemetry import FieldsFormatter, quiet_libraries
from shared.usecases.upkeep.rotate import Rotation, forget_data_keys, make_data_key, reseal, rewrap_data_keys

IN_USE_REASON = "{} values need it; rotate first (--resume names those that cannot be decrypted)"
TOO_NEW_REASON = (
    f"it was the newest until less than {DATA_KEY_RETENTION.total_seconds() / 60:.0f} minutes ago; try later"
)


def main() -> None:
    """Parse the arguments and rotate. The exit status is 1 if anything is left to do."""
    parser = argparse.ArgumentParser(prog="python -m shared.rotate", description=__doc__)
    step = parser.add_mutually_exclusive_group()
    step.add_argument("--resume", action="store_true", help="continue with the newest data key instead of creating one")
    step.add_argument("--rewrap", action="store_true", help="only wrap data keys with the current key-encryption key")
    step.add_argument("--forget-old", action="store_true", help="delete old data keys that are no longer needed")
    arguments = parser.parse_args()
    _warn_on_stderr()
    try:
        done = asyncio.run(rotate(arguments))
    except (SettingsError, Unavailable) as error:
        sys.exit(f"rotate: {error}")
    sys.exit(0 if done else 1)


async def rotate(arguments: argparse.Namespace) -> bool:
    """Rotate keys. Returns whether everything was done."""
    app = build(os.environ)
    say = partial(print, flush=True)
    rotation = Rotation(app, _sleep, say)
    try:
        if arguments.forget_old:
            kept_keys = await forget_data_keys(rotation)
            for key, values in kept_keys.items():
                say(f"kept data key {key}: " + (IN_USE_REASON.format(values) if values else TOO_NEW_REASON))
            return not kept_keys
        wrapped = await rewrap_data_keys(rotation)
        if arguments.rewrap:
            return wrapped
        if not arguments.resume:
            await make_data_key(rotation)
        return await reseal(rotation) and wrapped
    finally:
        await app.close()


def _warn_on_stderr() -> None:
    """Print warnings with their fields, which identify the value or the data key."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(FieldsFormatter())
    logging.getLogger().addHandler(handler)
    quiet_libraries()


async def _sleep(time: timedelta) -> None:
    await asyncio.sleep(time.total_seconds())


if __name__ == "__main__":
    main()
