"""Errors of the Table service, translated into ours."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError

from shared.domain.errors import NotStorable, StaleWrite, StorageUnavailable

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
# An operator has to restore access, or the service asks for a pause.
UNAVAILABLE_STATUSES = {401, 403, 408, 429}


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
        raise StorageUnavailable from error
    except AzureError as error:
        raise StorageUnavailable from error


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
