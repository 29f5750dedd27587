"""Errors of the Table service, translated into ours."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError

from shared.adapters.connection_faults import own_fault
from shared.domain.errors import NotStorable, StaleWrite, StorageSetupWrong, StorageUnavailable

log = logging.getLogger(__name__)

CONFLICT_STATUSES = {404, 409, 412}
# The value is at fault (Table service error codes, Common REST API error codes). Any other 4xx is a bug in Mailbind.
NOT_STORABLE_CODES = {
    "EntityTooLarge",
    "InvalidInput",
    "InvalidValueType",
    "KeyValueTooLarge",
    "OutOfRangeInput",
    "PropertyValueTooLarge",
    "RequestBodyTooLarge",
}
CODE_PATTERN = re.compile(r'"odata\.error": ?\{"code": ?"(\w+)"')
TOO_LARGE = 413
# A wrong key, a missing role, or network rules (Table service: Common REST API error codes).
REFUSAL_STATUSES = {401, 403}
UNAVAILABLE_STATUSES = {*REFUSAL_STATUSES, 408, 429}


@contextmanager
def translated_errors(*, reading: bool = False) -> Iterator[None]:
    """Translate the SDK's errors. A missing row is no error for a reader, and a stale write for a writer.

    Raises StaleWrite, NotStorable and StorageUnavailable.
    """
    try:
        yield
    except HttpResponseError as error:
        if reading and isinstance(error, ResourceNotFoundError):
            return
        status = error.status_code
        if status in CONFLICT_STATUSES:
            raise StaleWrite from None
        if status == TOO_LARGE or _error_code(error) in NOT_STORABLE_CODES:
            log.warning("storage refused a value", extra={"code": _error_code(error)})
            raise NotStorable from None
        if status is not None and status < 500 and status not in UNAVAILABLE_STATUSES:  # noqa: PLR2004 - HTTP's own numbers
            raise
        raise unavailable(error) from error
    except AzureError as error:
        raise unavailable(error) from error


def unavailable(error: AzureError) -> StorageUnavailable:
    """Tell an outage from settings and roles that an operator has to repair."""
    refused = isinstance(error, HttpResponseError) and error.status_code in REFUSAL_STATUSES
    return StorageSetupWrong() if refused or own_fault(error) else StorageUnavailable()


def _error_code(error: HttpResponseError) -> str:
    """The service's error code, or an empty string.

    The SDK turns the codes that it knows into members of TableErrorCode. Some of its calls raise an error without a
    code, and with the response in its text.
    """
    code = getattr(error, "error_code", None)
    if code is not None:
        return str(getattr(code, "value", code))
    match = CODE_PATTERN.search(str(error))
    return match[1] if match else ""
