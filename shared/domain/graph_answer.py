"""What an error answer of Microsoft Graph says about a mailbox: refused, and why, or not available at the moment.

`error.code` decides, because one HTTP status has several meanings: 404 is a folder that the person may not see, an
address without a mailbox, or a mailbox outside Exchange Online.

Sources: [ews] learn.microsoft.com, exchange/client-developer/web-service-reference/responsecode, whose codes Exchange
passes through Graph; [rest] exchange/troubleshoot/user-and-shared-mailboxes/
rest-api-is-not-yet-supported-for-this-mailbox-error; [errors] graph/errors; [claims] entra/identity-platform/
claims-challenge; [live] public reports of the live service, where no page describes the code.
"""

import base64
import binascii
import re
from typing import NamedTuple

from shared.domain.claims_challenge import sanitized_claims
from shared.domain.failure import MailboxRefusal

REFUSALS_BY_GRAPH_CODE = {
    "Authorization_RequestDenied": MailboxRefusal.MISSING_SCOPE,  # [errors]
    # No recipient of the tenant has the address, or the recipient has no mailbox.
    "ErrorInvalidUser": MailboxRefusal.NOT_FOUND,  # [live]
    "ErrorNonExistentMailbox": MailboxRefusal.NOT_FOUND,  # [ews]
    "ErrorMailRecipientNotFound": MailboxRefusal.NOT_FOUND,  # [ews]
    "ErrorInvalidSmtpAddress": MailboxRefusal.NOT_FOUND,  # [ews]
    "ErrorMissingEmailAddress": MailboxRefusal.NOT_FOUND,  # [ews]
    "ResourceNotFound": MailboxRefusal.NOT_FOUND,  # [live] "Resource could not be discovered"
    "Request_ResourceNotFound": MailboxRefusal.NOT_FOUND,  # [errors]
    # Unlicensed, inactive, soft-deleted or on-premises; and the mailbox of a Microsoft 365 group.
    "MailboxNotEnabledForRESTAPI": MailboxRefusal.NOT_IN_EXCHANGE_ONLINE,  # [rest]
    "MailboxNotSupportedForRESTAPI": MailboxRefusal.NOT_IN_EXCHANGE_ONLINE,  # [rest]
    "ErrorGroupIsUsedInNonGroupURI": MailboxRefusal.NOT_IN_EXCHANGE_ONLINE,  # [live]
}
# A mailbox that is there and does not open at the moment, whatever the HTTP status [ews].
TEMPORARY_GRAPH_CODES = frozenset(
    {
        "ErrorADOperation",
        "ErrorADUnavailable",
        "ErrorConnectionFailed",
        "ErrorInsufficientResources",
        "ErrorInternalServerTransientError",
        "ErrorMailboxFailover",
        "ErrorMailboxMoveInProgress",
        "ErrorMailboxStoreUnavailable",
        "ErrorNoRespondingCASInDestinationSite",
        "ErrorProxyRequestProcessingFailed",
        "ErrorServerBusy",
        "ErrorTimeoutExpired",
        "MailboxInfoStale",
    }
)
LOGGED_CODE_PATTERN = re.compile(r"[A-Za-z0-9_.]{1,64}")
CLAIMS_PATTERN = re.compile(r'\bclaims="([A-Za-z0-9+/=_-]{1,8192})"')


class GraphRefusal(NamedTuple):
    """Graph refused. `graph_code` is Graph's `error.code`, for operators; `claims` are those of a claims challenge."""

    refusal: MailboxRefusal
    graph_code: str
    claims: str | None = None


def graph_refusal(status: int, body: object, challenge: str = "") -> GraphRefusal | None:
    """Classify an error answer; None for an outage. `challenge` is the WWW-Authenticate header.

    A code that is not known here refuses access, because that is also how Exchange answers without permission
    (ErrorAccessDenied; ErrorItemNotFound: "not found or you do not have permission" [ews]).
    """
    code = _error_code(body)
    logged_code = code if LOGGED_CODE_PATTERN.fullmatch(code) else "unreadable"
    if status in {408, 429} or status >= 500 or code in TEMPORARY_GRAPH_CODES:  # noqa: PLR2004 - HTTP's own numbers
        return None
    if code in REFUSALS_BY_GRAPH_CODE:
        return GraphRefusal(REFUSALS_BY_GRAPH_CODE[code], logged_code)
    if status == 401:  # noqa: PLR2004 - HTTP's own number
        claims = challenge_claims(challenge)
        refusal = MailboxRefusal.CLAIMS_CHALLENGE if claims else MailboxRefusal.TOKEN_REFUSED
        return GraphRefusal(refusal, logged_code, claims)
    return GraphRefusal(MailboxRefusal.NO_ACCESS, logged_code) if code else None


def challenge_claims(challenge: str) -> str | None:
    """The claims of a WWW-Authenticate header with `error="insufficient_claims"` [claims], or None."""
    match = CLAIMS_PATTERN.search(challenge)
    if match is None or 'error="insufficient_claims"' not in challenge:
        return None
    encoded = match[1].rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return sanitized_claims(decoded)


def _error_code(body: object) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) else ""
