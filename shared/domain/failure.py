"""Failures of Microsoft's endpoints, told apart.

The rule is Microsoft's: react to `error`; `error_codes` are diagnostic and may change (Entra documentation,
reference-error-codes). So status, `error` and `suberror` decide, and the AADSTS numbers in `failure_table` only refine.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from shared.domain.failure_table import ROWS, Row
from shared.domain.kinds import FailureKind


class MailboxRefusal(StrEnum):
    """What Microsoft's answers to a probe come down to."""

    NO_ACCESS = "no_mailbox_access"
    MISSING_SCOPE = "missing_scope"


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed call: what kind, our stable `code`, and what operators may trace it by.

    `claims` is a claims challenge that the next sign-in must carry (Entra documentation, claims challenges).
    `confirmed` is false for an `invalid_grant` of no known kind, which has to be seen again before it is believed.
    """

    kind: FailureKind
    code: str
    aadsts: int | None = None
    retry_after: timedelta | None = None
    claims: str | None = None
    confirmed: bool = True
    trace: str | None = None


BY_NUMBER = {number: row for row in ROWS for number in row.aadsts}
BY_SUBERROR = {suberror: row for row in ROWS for suberror in row.suberrors}
BY_ERROR = {error: row for row in ROWS for error in row.errors}

NO_CREDENTIAL = Failure(FailureKind.APP_FAULT, "app_credential")
UNREACHABLE = Failure(FailureKind.TRANSIENT, "entra_unavailable")
UNKNOWN = Row("unknown_failure", FailureKind.TRANSIENT, source="ours: nothing is destroyed over an answer nobody knows")
UNPROVEN = Row("needs_sign_in", FailureKind.NEEDS_SIGN_IN, source="ours: a bare invalid_grant is confirmed first")


@dataclass(frozen=True, slots=True)
class TokenError:
    """The token endpoint's error answer (RFC 6749 section 5.2, and Microsoft's additions to it)."""

    status: int
    error: str = ""
    suberror: str = ""
    numbers: tuple[int, ...] = ()
    claims: str | None = None
    retry_after: timedelta | None = None
    trace: str | None = None


def classify(answer: TokenError) -> Failure:
    """Tell the five kinds of failure apart."""
    row, number = _row(answer)
    return Failure(
        kind=row.kind,
        code=row.code,
        aadsts=number if number is not None else next(iter(answer.numbers), None),
        retry_after=answer.retry_after or row.pause,
        claims=answer.claims,
        confirmed=row is not UNPROVEN,
        trace=answer.trace,
    )


def _row(answer: TokenError) -> tuple[Row, int | None]:
    if answer.status in {408, 429} or answer.status >= 500:  # noqa: PLR2004 - HTTP's own numbers
        return BY_ERROR["temporarily_unavailable"], None
    by_error = BY_ERROR.get(answer.error, UNKNOWN)
    if answer.error == "invalid_client":
        # Whatever the number says, this is about the app and never about a person.
        return _refined(answer, by_error, {FailureKind.APP_FAULT, FailureKind.TRANSIENT})
    if answer.suberror in BY_SUBERROR:
        by_error = BY_SUBERROR[answer.suberror]
    elif answer.error == "invalid_grant":
        by_error = UNPROVEN
    return _refined(answer, by_error, set(FailureKind))


def _refined(answer: TokenError, row: Row, allowed: set[FailureKind]) -> tuple[Row, int | None]:
    for number in answer.numbers:
        known = BY_NUMBER.get(number)
        if known is not None and known.kind in allowed and not _blames_client(known, answer):
            return known, number
    return row, None


def _blames_client(row: Row, answer: TokenError) -> bool:
    """Whether the number blames the client's credential while `error` blames the code or refresh token.

    Entra has answered expired ones with `invalid_grant` and "AADSTS70002: Error validating credentials. AADSTS70008:
    The provided authorization code or refresh token is expired".
    """
    return answer.error == "invalid_grant" and row.code == NO_CREDENTIAL.code
