"""Turns whatever a request ran into into a refusal, so that no exception reaches the host."""

import logging
import traceback
from pathlib import Path

from shared.domain.errors import Conflict, InternalError, MailbindError, StaleWrite

log = logging.getLogger(__name__)

ROOT = Path(__file__).parents[1]


def refusal_of(error: Exception) -> MailbindError:
    """Our own errors as they are; anything else is a fault of ours, and is logged once, without what it says.

    The message of a foreign exception may quote the request, so the line names the exception's type and the place.
    """
    if isinstance(error, MailbindError):
        return error
    if isinstance(error, StaleWrite):
        return Conflict("It is being changed by others; try again")
    log.error("request failed", extra={"error": type(error).__name__, "at": _place(error)})
    return InternalError()


def _place(error: Exception) -> str:
    """The innermost line of our own that the exception passed through, as `http/bounds.py:42`."""
    ours = [
        f"{Path(frame.f_code.co_filename).relative_to(ROOT)}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if Path(frame.f_code.co_filename).is_relative_to(ROOT)
    ]
    return ours[-1] if ours else "?"
