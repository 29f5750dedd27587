"""Failures of Microsoft's answers: the table of known ones, and how an answer is classified."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class FailureKind(StrEnum):
    """Whom a failure asks something of: nobody, the person, their administrator, or the operator of the OAuth app."""

    TRANSIENT = "transient"
    NEEDS_SIGN_IN = "needsSignIn"
    NEEDS_CONSENT = "needsConsent"
    BLOCKED = "blocked"
    APP_FAULT = "appFault"


@dataclass(frozen=True, slots=True)
class FailureRule:
    """Answers that mean the same: by `error`, by `suberror`, by AADSTS number. `pause` is a least time to wait."""

    code: str
    kind: FailureKind
    source: str
    errors: frozenset[str] = frozenset()
    suberrors: frozenset[str] = frozenset()
    aadsts: frozenset[int] = frozenset()
    min_pause: timedelta | None = None


def _row(
    code: str,
    kind: FailureKind,
    source: str,
    *,
    errors: str = "",
    suberrors: str = "",
    aadsts: tuple[int, ...] = (),
    pause: timedelta | None = None,
) -> FailureRule:
    return FailureRule(
        code, kind, source, frozenset(errors.split()), frozenset(suberrors.split()), frozenset(aadsts), pause
    )


FAILURE_RULES = (
    _row(
        "needs_sign_in",
        FailureKind.NEEDS_SIGN_IN,
        "[codes] [flow] [msal]",
        errors="interaction_required login_required",
        suberrors="bad_token token_expired user_password_expired basic_action additional_action",
        aadsts=(
            *(50173, 700082, 70008, 70043, 700084, 70000, 50089, 50132, 50133, 50078, 50076, 50074, 50079, 50072),
            *(50158, 50055, 50144, 50085, 50097, 700020, 53004, 16000, 16001),
        ),
    ),
    _row(
        "needs_consent",
        FailureKind.NEEDS_CONSENT,
        "[codes] [flow]",
        errors="consent_required access_denied",
        suberrors="consent_required",
        aadsts=(65001, 65004, 90008),
    ),
    _row("needs_admin_consent", FailureKind.NEEDS_CONSENT, "[codes]", aadsts=(90094, 90095)),
    _row(
        "blocked_by_policy",
        FailureKind.BLOCKED,
        "[codes] [ca] [msal]",
        suberrors="message_only protection_policy_required",
        aadsts=(
            *(53000, 53001, 53002, 53003, 530032, 530034, 530035, 530084, 53011, 50131, 50105, 50005),
            *(500021, 500022, 500212, 500213),
        ),
    ),
    _row(
        "person_gone",
        FailureKind.BLOCKED,
        "[codes]",
        aadsts=(50057, 50034, 51004, 50014, 50020, 90072, 50053),
    ),
    _row(
        "app_credential",
        FailureKind.APP_FAULT,
        "[codes] [wif]",
        errors="invalid_client",
        aadsts=(7000222, 7000215, 70002, 700027, 50012, 700030, 700213, 70021, 7000218, 700025),
    ),
    _row(
        "app_configuration",
        FailureKind.APP_FAULT,
        "[codes]",
        errors="unauthorized_client invalid_request invalid_scope invalid_resource unsupported_grant_type",
        aadsts=(
            *(700016, 70001, 7000112, 1000031, 90002, 50194, 50011, 900971, 70011, 28002, 28003, 70022, 700022, 700023),
            *(500011, 650052, 650054, 650057, 65005, 650056, 900144, 9002313, 700005, 501481, 900382, 900432, 90038),
        ),
    ),
    _row(
        "entra_unavailable",
        FailureKind.TRANSIENT,
        "[codes]; HTTP 408, 429 and 5xx by RFC 9110",
        errors="temporarily_unavailable server_error",
        aadsts=(
            *(90033, 90006, 90012, 90024, 90090, 90091, 50033, 50087, 50088, 50166, 40010, 70012, 80002, 80005),
            *(50000, 90055, 501621),
        ),
    ),
    _row(
        "cooling_down",
        FailureKind.TRANSIENT,
        "[loop]: arrives as invalid_grant and means our own polling, not the grant",
        aadsts=(50196,),
        pause=timedelta(hours=1),
    ),
)


AADSTS_PATTERN = re.compile(r"AADSTS([0-9]{1,9})(?![0-9])")
MAX_AADSTS_NUMBER = 999_999_999
MAX_AADSTS_NUMBERS_READ = 10


def parse_whole_number(value: object, maximum: int) -> int | None:
    """The number from 0 to `most` that this is, as JSON or as decimal digits; None for anything else.

    `int()` alone raises for superscript digits, which `str.isdigit` accepts, and for more than 4,300 digits.
    """
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) <= len(str(maximum)) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= maximum else None


def aadsts_numbers(text: str) -> tuple[int, ...]:
    """The AADSTS numbers that an error description mentions, at most ten of them."""
    return tuple(int(number) for number in AADSTS_PATTERN.findall(text)[:MAX_AADSTS_NUMBERS_READ])


def is_finite_number(value: object) -> bool:
    """Whether a JSON value is a number that can be compared: NaN, infinity, booleans and text are not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)


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


RULES_BY_AADSTS_NUMBER = {number: row for row in FAILURE_RULES for number in row.aadsts}
RULES_BY_SUBERROR = {suberror: row for row in FAILURE_RULES for suberror in row.suberrors}
RULES_BY_ERROR = {error: row for row in FAILURE_RULES for error in row.errors}

APP_CREDENTIAL_FAILURE = Failure(FailureKind.APP_FAULT, "app_credential")
ENTRA_UNAVAILABLE = Failure(FailureKind.TRANSIENT, "entra_unavailable")
UNKNOWN_RULE = FailureRule(
    "unknown_failure", FailureKind.TRANSIENT, source="ours: nothing is destroyed over an answer nobody knows"
)
UNCONFIRMED_RULE = FailureRule(
    "needs_sign_in", FailureKind.NEEDS_SIGN_IN, source="ours: a bare invalid_grant is confirmed first"
)


@dataclass(frozen=True, slots=True)
class TokenError:
    """The token endpoint's error answer (RFC 6749 section 5.2, and Microsoft's additions to it)."""

    status: int
    error: str = ""
    suberror: str = ""
    aadsts_numbers: tuple[int, ...] = ()
    claims: str | None = None
    retry_after: timedelta | None = None
    trace: str | None = None


def classify(answer: TokenError) -> Failure:
    """Tell the five kinds of failure apart."""
    row, number = _matching_row(answer)
    return Failure(
        kind=row.kind,
        code=row.code,
        aadsts=number if number is not None else next(iter(answer.aadsts_numbers), None),
        retry_after=answer.retry_after or row.min_pause,
        claims=answer.claims,
        confirmed=row is not UNCONFIRMED_RULE,
        trace=answer.trace,
    )


def _matching_row(answer: TokenError) -> tuple[FailureRule, int | None]:
    if answer.status in {408, 429} or answer.status >= 500:  # noqa: PLR2004 - HTTP's own numbers
        return RULES_BY_ERROR["temporarily_unavailable"], None
    by_error = RULES_BY_ERROR.get(answer.error, UNKNOWN_RULE)
    if answer.error == "invalid_client":
        # Whatever the number says, this is about the app and never about a person.
        return _refined(answer, by_error, {FailureKind.APP_FAULT, FailureKind.TRANSIENT})
    if answer.suberror in RULES_BY_SUBERROR:
        by_error = RULES_BY_SUBERROR[answer.suberror]
    elif answer.error == "invalid_grant":
        by_error = UNCONFIRMED_RULE
    return _refined(answer, by_error, set(FailureKind))


def _refined(answer: TokenError, row: FailureRule, allowed: set[FailureKind]) -> tuple[FailureRule, int | None]:
    for number in answer.aadsts_numbers:
        known = RULES_BY_AADSTS_NUMBER.get(number)
        if known is not None and known.kind in allowed and not _blames_client(known, answer):
            return known, number
    return row, None


def _blames_client(row: FailureRule, answer: TokenError) -> bool:
    """Whether the number blames the client's credential while `error` blames the code or refresh token.

    Entra has answered expired ones with `invalid_grant` and "AADSTS70002: Error validating credentials. AADSTS70008:
    The provided authorization code or refresh token is expired".
    """
    return answer.error == "invalid_grant" and row.code == APP_CREDENTIAL_FAILURE.code


class SignInRefusal(StrEnum):
    """Why the sign-in came back without a code, as the browser tells it."""

    CANCELLED = "access_denied"
    NEEDS_CONSENT = "needs_consent"
    NEEDS_ADMIN_CONSENT = "needs_admin_consent"
    BLOCKED_BY_POLICY = "blocked_by_policy"
    TRY_AGAIN = "entra_unavailable"
    APP_SETUP_SUSPECTED = "app_setup_suspected"
    REFUSED = "sign_in_refused"


REFUSALS_BY_FAILURE_CODE = {
    "needs_consent": SignInRefusal.NEEDS_CONSENT,
    "needs_admin_consent": SignInRefusal.NEEDS_ADMIN_CONSENT,
    "blocked_by_policy": SignInRefusal.BLOCKED_BY_POLICY,
    "entra_unavailable": SignInRefusal.TRY_AGAIN,
    "app_credential": SignInRefusal.APP_SETUP_SUSPECTED,
    "app_configuration": SignInRefusal.APP_SETUP_SUSPECTED,
}


def sign_in_refusal(answer: Mapping[str, str]) -> SignInRefusal:
    """Map the authorize endpoint's error answer (Entra: v2-oauth2-auth-code-flow, "Error response").

    Reads `error`, `error_subcode` and the AADSTS numbers of `error_description`; `error_uri` is ignored.
    """
    error, numbers = answer.get("error", ""), aadsts_numbers(answer.get("error_description", ""))
    if error == "access_denied" and (answer.get("error_subcode") == "cancel" or not numbers):
        return SignInRefusal.CANCELLED
    # An error in a redirect has no HTTP status of its own; 400 says that the request was answered.
    return REFUSALS_BY_FAILURE_CODE.get(
        classify(TokenError(400, error, aadsts_numbers=numbers)).code, SignInRefusal.REFUSED
    )


def redemption_refusal(failure: Failure) -> str:
    """The code for a person whose code the token endpoint did not redeem.

    The browser chose the code, and a made-up one is refused as malformed, which is no fault of the app's registration.
    """
    codes: Mapping[str, str] = {
        "needs_sign_in": "sign_in_unknown",
        "app_configuration": SignInRefusal.APP_SETUP_SUSPECTED.value,
    }
    return codes.get(failure.code, failure.code)
