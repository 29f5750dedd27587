"""The texts of pages about errors."""

from collections.abc import Iterator

from shared.browser.remedies import PAGE_REMEDIES
from shared.domain.errors import (
    AppInUse,
    AppOfSettings,
    Forbidden,
    InvalidInput,
    LimitReached,
    MailbindError,
    Unauthorized,
    Unavailable,
)
from shared.domain.remedy import REMEDIES
from shared.http.refusals import InvalidJson

# Only requests to the API meet these.
API_ERRORS = (AppInUse, AppOfSettings, Forbidden, InvalidInput, InvalidJson, LimitReached, Unauthorized)


def subclasses(error: type[MailbindError]) -> Iterator[type[MailbindError]]:
    for kind in error.__subclasses__():
        yield kind
        yield from subclasses(kind)


def is_of_the_api(error: type[MailbindError]) -> bool:
    return issubclass(error, API_ERRORS) or error.__module__.startswith("shared.api.")


def test_every_error_that_a_page_may_meet_has_a_text() -> None:
    codes = {kind.code for kind in subclasses(MailbindError) if not is_of_the_api(kind)}
    # These have no code before they are made.
    codes |= {kind().code for kind in subclasses(Unavailable)}

    assert {"storage_unavailable", "key_vault_refused", "row_unreadable"} <= codes
    assert set() == codes - {None} - {*REMEDIES, *PAGE_REMEDIES}
