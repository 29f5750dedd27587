"""Failures of calls to Microsoft: what is known of one, and how its numbers are read."""

import math
import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple


class FailureKind(StrEnum):
    """Who must act: no one, the person, their administrator, or the operator of the OAuth app."""

    TRANSIENT = "transient"
    NEEDS_SIGN_IN = "needsSignIn"
    NEEDS_CONSENT = "needsConsent"
    BLOCKED = "blocked"
    APP_FAULT = "appFault"


class SetupFault(NamedTuple):
    """A host that cannot be reached because of our own settings: why, since when, and when that was last met."""

    code: str
    host: str
    reason: str
    since: datetime
    met: datetime

    def is_recent(self, now: datetime) -> bool:
        """Whether the fault still holds as far as is known."""
        return now - self.met < SETUP_FAULT_LIFETIME


class Failure(NamedTuple):
    """One failed call: its kind, our stable `code`, and what operators can trace it by.

    `claims` is a claims challenge that the next sign-in must carry (Entra documentation, claims challenges).
    `confirmed` is false for an `invalid_grant` without a known reason, which must repeat before it is believed.
    """

    kind: FailureKind
    code: str
    aadsts: int | None = None
    retry_after: timedelta | None = None
    claims: str | None = None
    confirmed: bool = True
    trace: str | None = None


class TokenError(NamedTuple):
    """An error answer of the token endpoint (RFC 6749 section 5.2, with Microsoft's additions)."""

    status: int
    error: str = ""
    suberror: str = ""
    aadsts_numbers: tuple[int, ...] = ()
    claims: str | None = None
    retry_after: timedelta | None = None
    trace: str | None = None


class MailboxRefusal(StrEnum):
    """Why Microsoft did not open a probed mailbox."""

    NO_ACCESS = "no_mailbox_access"
    MISSING_SCOPE = "missing_scope"
    NOT_FOUND = "mailbox_not_found"
    NOT_IN_EXCHANGE_ONLINE = "mailbox_not_in_exchange_online"
    TOKEN_REFUSED = "access_token_refused"  # noqa: S105 - the name of a failure
    CLAIMS_CHALLENGE = "mailbox_claims_challenge"


NO_ACCESS = MailboxRefusal.NO_ACCESS.value
# Refusals of the access token, which say nothing about the mailbox.
TOKEN_REFUSALS = frozenset({MailboxRefusal.TOKEN_REFUSED, MailboxRefusal.CLAIMS_CHALLENGE})
# The code of a mailbox that waits because Microsoft 365 does not answer.
GRAPH_UNAVAILABLE = "graph_unavailable"
# Our own settings prevent every connection: DNS, certificates.
ENTRA_SETUP, GRAPH_SETUP, KEY_VAULT_SETUP = "entra_setup", "graph_setup", "key_vault_setup"
# Without an attempt for that long, nobody knows whether a fault still holds.
SETUP_FAULT_LIFETIME = timedelta(hours=1)

APP_CREDENTIAL_FAILURE = Failure(FailureKind.APP_FAULT, "app_credential")
ENTRA_UNAVAILABLE = Failure(FailureKind.TRANSIENT, "entra_unavailable")

AADSTS_PATTERN = re.compile(r"AADSTS([0-9]{1,9})(?![0-9])")
MAX_AADSTS_NUMBER = 999_999_999
MAX_AADSTS_NUMBERS_READ = 10


def aadsts_numbers(text: str) -> tuple[int, ...]:
    """The AADSTS numbers in an error description, at most ten of them."""
    return tuple(int(number) for number in AADSTS_PATTERN.findall(text)[:MAX_AADSTS_NUMBERS_READ])


def parse_whole_number(value: object, maximum: int) -> int | None:
    """The whole number from 0 to `maximum` that a JSON number or decimal digits stand for; None for anything else.

    `int()` alone raises for superscript digits, which `str.isdigit` accepts, and for more than 4,300 digits.
    """
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) <= len(str(maximum)) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= maximum else None


def is_finite_number(value: object) -> bool:
    """Whether a JSON value is a number that can be compared: not NaN, infinity, a boolean or text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)
