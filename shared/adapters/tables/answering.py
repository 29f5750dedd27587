"""The Table service's answers, of which the SDK makes errors, as ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import TableTransactionError

from shared.domain.errors import StaleWrite, StorageUnavailable

CONFLICTS = {404, 409, 412}


@contextmanager
def answering(*, reading: bool = False) -> Iterator[None]:
    """Turn the SDK's errors into ours. What is not there is nothing to a reader, and a stale write to a writer."""
    try:
        yield
    except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError, TableTransactionError) as error:
        if reading and isinstance(error, ResourceNotFoundError):
            return
        if error.status_code in CONFLICTS:
            raise StaleWrite from None
        raise StorageUnavailable from error
    except HttpResponseError as error:
        if error.status_code is not None and error.status_code < 500 and error.status_code not in {408, 429}:  # noqa: PLR2004 - HTTP's own numbers
            raise
        raise StorageUnavailable from error
    except AzureError as error:
        raise StorageUnavailable from error
