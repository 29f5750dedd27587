"""Graph's error answers, as refusals that tell the caller what to do."""

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus

from shared.domain.account import Account
from shared.domain.confined.json_bodies import member
from shared.domain.errors import Conflict, Forbidden, MailbindError, NotFound, TooManyRequests, Unavailable
from shared.domain.failure import GRAPH_UNAVAILABLE

DEFAULT_RETRY_AFTER = timedelta(seconds=10)
CODE_PATTERN = re.compile(r"[A-Za-z0-9_.]{1,64}")
MAX_MESSAGE_CHARACTERS = 256
# Exchange's response codes, which Graph passes through (learn.microsoft.com, exchange/client-developer/
# web-service-reference/responsecode).
SEND_AS_DENIED = frozenset({"ErrorSendAsDenied", "ErrorCannotSubmitOnBehalfOf"})
ACCESS_DENIED = frozenset({"ErrorAccessDenied", "ErrorItemSavePropertyError"})
NOT_THERE = frozenset(
    {"ErrorItemNotFound", "ErrorFolderNotFound", "ErrorInvalidIdMalformed", "ErrorInvalidMailboxItemId"}
)


class RightMissing(Forbidden):
    """Exchange refuses the person behind the account. The message has the PowerShell line that grants the right."""

    code = "exchange_right_missing"


class NoSuchItem(NotFound):
    """The mailbox has no message, attachment or folder with this id."""

    def __init__(self) -> None:
        super().__init__("No such message, attachment or folder in this mailbox")


class RefusedByGraph(MailbindError):
    """Graph understood the call, and refused it for a reason of its own. Nothing was changed."""

    code = "graph_refused"

    def __init__(self, graph_code: str, message: str) -> None:
        super().__init__(f"Microsoft Graph refused this ({graph_code}): {message}")


def error_of(status: int, headers: Mapping[str, str], body: bytes, account: Account) -> MailbindError | None:
    """The refusal for an answer; None for a success. `headers` have their names in lower case."""
    if status < HTTPStatus.BAD_REQUEST:
        return None
    code, message = _code_and_message(body)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return TooManyRequests(retry_after(headers))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unavailable(GRAPH_UNAVAILABLE, "Microsoft Graph is unavailable. Try again", retry_after(headers))
    return _refusal(status, code, message, account)


def _refusal(status: int, code: str, message: str, account: Account) -> MailbindError:
    if code in SEND_AS_DENIED:
        return RightMissing(_send_as(account))
    if code in ACCESS_DENIED or status == HTTPStatus.FORBIDDEN:
        return RightMissing(_full_access(account))
    if code in NOT_THERE or status == HTTPStatus.NOT_FOUND:
        return NoSuchItem()
    if status == HTTPStatus.PRECONDITION_FAILED:
        return Conflict()
    return RefusedByGraph(code, message)


def retry_after(headers: Mapping[str, str]) -> timedelta:
    """How long to wait, as the header says in seconds (RFC 9110 section 10.2.3); ten seconds if it does not."""
    given = headers.get("retry-after", "")
    return timedelta(seconds=min(int(given), 3600)) if given.isascii() and given.isdigit() else DEFAULT_RETRY_AFTER


def _code_and_message(body: bytes) -> tuple[str, str]:
    try:
        error = member(json.loads(body), "error")
    except (ValueError, RecursionError):
        error = None
    code, message = member(error, "code"), member(error, "message")
    known = code if isinstance(code, str) and CODE_PATTERN.fullmatch(code) else "UnknownError"
    text = message if isinstance(message, str) else "no reason was given"
    return known, "".join(each for each in text if each.isprintable())[:MAX_MESSAGE_CHARACTERS]


def _send_as(account: Account) -> str:
    return (
        f"Exchange does not let {account.sign_in_name} send as {account.email}. An Exchange administrator allows it"
        f" with: Add-RecipientPermission {account.email} -Trustee {account.sign_in_name} -AccessRights SendAs"
    )


def _full_access(account: Account) -> str:
    return (
        f"Exchange does not let {account.sign_in_name} do this in {account.email}. An Exchange administrator allows it"
        f" with: Add-MailboxPermission {account.email} -User {account.sign_in_name} -AccessRights FullAccess"
    )
