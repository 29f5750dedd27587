"""The Table service's answers, of which the SDK makes errors, as ours."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError

from shared.domain.errors import NotStorable, StaleWrite, StorageUnavailable

log = logging.getLogger(__name__)

CONFLICTS = {404, 409, 412}
# The value that was to be written is at fault, not the writing of it (Table service error codes, Common REST API error
# codes). Any other 4xx is a fault of ours, and stays what it is.
UNSTORABLE = {
    "EntityTooLarge",
    "InvalidInput",
    "InvalidValueType",
    "KeyValueTooLarge",
    "OutOfRangeInput",
    "PropertyValueTooLarge",
    "RequestBodyTooLarge",
}
CODE = re.compile(r'"odata\.error": ?\{"code": ?"(\w+)"')
TOO_LARGE = 413
LATER = {401, 403, 408, 429}  # an operator has to give access back, or the service asks to wait


@contextmanager
def answering(*, reading: bool = False) -> Iterator[None]:
    """Turn the SDK's errors into ours. What is not there is nothing to a reader, and a stale write to a writer.

    Raises StaleWrite, NotStorable and StorageUnavailable.
    """
    try:
        yield
    except HttpResponseError as error:
        if reading and isinstance(error, ResourceNotFoundError):
            return
        status = error.status_code
        if status in CONFLICTS:
            raise StaleWrite from None
        if status == TOO_LARGE or _code(error) in UNSTORABLE:
            log.warning("storage refused a value", extra={"code": _code(error)})
            raise NotStorable from None
        if status is not None and status < 500 and status not in LATER:  # noqa: PLR2004 - HTTP's own numbers
            raise
        raise StorageUnavailable from error
    except AzureError as error:
        raise StorageUnavailable from error


def _code(error: HttpResponseError) -> str:
    """The service's own code of the error, or nothing.

    The SDK makes a member of TableErrorCode of those that it knows. Some of its calls raise the service's answer as it
    came, without a code of its own, and with the answer in its text.
    """
    code = getattr(error, "error_code", None)
    if code is not None:
        return str(getattr(code, "value", code))
    found = CODE.search(str(error))
    return found[1] if found else ""
