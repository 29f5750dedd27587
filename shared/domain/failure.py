"""Failures of calls to Microsoft: the rules for known answers, and the classification of an answer.

The principle is Microsoft's: react to `error`; `error_codes` are diagnostic and may change (reference-error-codes). So
status, `error` and `suberror` decide, and AADSTS numbers only refine.

Sources of the rules: [codes] learn.microsoft.com, identity-platform/reference-error-codes; [flow] identity-platform/
v2-oauth2-auth-code-flow, "Error codes for token endpoint errors"; [ca] entra/identity/conditional-access; [wif]
identity-platform/workload-identity-federation; [loop] identity-platform/reference-breaking-changes, "looping clients";
[msal] suberrors as named in MSAL's libraries.
"""

import math
import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple


class FailureKind(StrEnum):
    """Who must act: no one, the person, their administrator, or the operator of the OAuth app."""

    TRANSIENT = "transient"
    NEEDS_SIGN_IN = "needsSignIn"
    NEEDS_CONSENT = "needsConsent"
    BLOCKED = "blocked"
    APP_FAULT = "appFault"


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


class SignInRefusal(StrEnum):
    """Why a sign-in came back without a code, according to the browser.

    The authorize endpoint reports errors through the browser, so anybody can forge them. They decide which page the
    person sees and which code the registration and its event carry, but nothing about the OAuth app, a grant or an
    account.
    """

    CANCELLED = "access_denied"
    NEEDS_CONSENT = "needs_consent"
    NEEDS_ADMIN_CONSENT = "needs_admin_consent"
    BLOCKED_BY_POLICY = "blocked_by_policy"
    TRY_AGAIN = "entra_unavailable"
    APP_SETUP_SUSPECTED = "app_setup_suspected"
    REFUSED = "sign_in_refused"


class FailureRule(NamedTuple):
    """Error answers with the same meaning: matched by `error`, `suberror` or AADSTS number.

    `source` names the documentation behind it, `min_pause` is the least time to wait before the next call.
    """

    code: str
    kind: FailureKind
    source: str
    errors: frozenset[str] = frozenset()
    suberrors: frozenset[str] = frozenset()
    aadsts: frozenset[int] = frozenset()
    min_pause: timedelta | None = None


def _rule(
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
    _rule(
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
    _rule(
        "needs_consent",
        FailureKind.NEEDS_CONSENT,
        "[codes] [flow]",
        errors="consent_required access_denied",
        suberrors="consent_required",
        aadsts=(65001, 65004, 90008),
    ),
    _rule("needs_admin_consent", FailureKind.NEEDS_CONSENT, "[codes]", aadsts=(90094, 90095)),
    _rule(
        "blocked_by_policy",
        FailureKind.BLOCKED,
        "[codes] [ca] [msal]",
        suberrors="message_only protection_policy_required",
        aadsts=(
            *(53000, 53001, 53002, 53003, 530032, 530034, 530035, 530084, 53011, 50131, 50105, 50005),
            *(500021, 500022, 500212, 500213),
        ),
    ),
    _rule(
        "person_gone",
        FailureKind.BLOCKED,
        "[codes]",
        aadsts=(50057, 50034, 51004, 50014, 50020, 90072, 50053),
    ),
    _rule(
        "app_credential",
        FailureKind.APP_FAULT,
        "[codes] [wif]",
        errors="invalid_client",
        aadsts=(7000222, 7000215, 70002, 700027, 50012, 700030, 700213, 70021, 7000218, 700025),
    ),
    _rule(
        "app_configuration",
        FailureKind.APP_FAULT,
        "[codes]",
        errors="unauthorized_client invalid_request invalid_scope invalid_resource unsupported_grant_type",
        aadsts=(
            *(700016, 70001, 7000112, 1000031, 90002, 50194, 50011, 900971, 70011, 28002, 28003, 70022, 700022, 700023),
            *(500011, 650052, 650054, 650057, 65005, 650056, 900144, 9002313, 700005, 501481, 900382, 900432, 90038),
        ),
    ),
    _rule(
        "entra_unavailable",
        FailureKind.TRANSIENT,
        "[codes]; HTTP 408, 429 and 5xx by RFC 9110",
        errors="temporarily_unavailable server_error",
        aadsts=(
            *(90033, 90006, 90012, 90024, 90090, 90091, 50033, 50087, 50088, 50166, 40010, 70012, 80002, 80005),
            *(50000, 90055, 501621),
        ),
    ),
    _rule(
        "cooling_down",
        FailureKind.TRANSIENT,
        "[loop]: arrives as invalid_grant, but is about our polling and not about the grant",
        aadsts=(50196,),
        pause=timedelta(hours=1),
    ),
)

RULES_BY_AADSTS_NUMBER = {number: rule for rule in FAILURE_RULES for number in rule.aadsts}
RULES_BY_SUBERROR = {suberror: rule for rule in FAILURE_RULES for suberror in rule.suberrors}
RULES_BY_ERROR = {error: rule for rule in FAILURE_RULES for error in rule.errors}
UNKNOWN_RULE = FailureRule("unknown_failure", FailureKind.TRANSIENT, source="ours: an unknown answer destroys nothing")
UNCONFIRMED_RULE = FailureRule(
    "needs_sign_in", FailureKind.NEEDS_SIGN_IN, source="ours: an invalid_grant without a reason is confirmed first"
)

APP_CREDENTIAL_FAILURE = Failure(FailureKind.APP_FAULT, "app_credential")
ENTRA_UNAVAILABLE = Failure(FailureKind.TRANSIENT, "entra_unavailable")

REFUSALS_BY_FAILURE_CODE = {
    "needs_consent": SignInRefusal.NEEDS_CONSENT,
    "needs_admin_consent": SignInRefusal.NEEDS_ADMIN_CONSENT,
    "blocked_by_policy": SignInRefusal.BLOCKED_BY_POLICY,
    "entra_unavailable": SignInRefusal.TRY_AGAIN,
    "app_credential": SignInRefusal.APP_SETUP_SUSPECTED,
    "app_configuration": SignInRefusal.APP_SETUP_SUSPECTED,
}

AADSTS_PATTERN = re.compile(r"AADSTS([0-9]{1,9})(?![0-9])")
MAX_AADSTS_NUMBER = 999_999_999
MAX_AADSTS_NUMBERS_READ = 10


def classify(answer: TokenError) -> Failure:
    """Classify an error answer."""
    rule, number = _matching_rule(answer)
    return Failure(
        kind=rule.kind,
        code=rule.code,
        aadsts=number if number is not None else next(iter(answer.aadsts_numbers), None),
        retry_after=answer.retry_after or rule.min_pause,
        claims=answer.claims,
        confirmed=rule is not UNCONFIRMED_RULE,
        trace=answer.trace,
    )


def sign_in_refusal(answer: Mapping[str, str]) -> SignInRefusal:
    """Classify an error answer of the authorize endpoint (Entra: v2-oauth2-auth-code-flow, "Error response").

    It reads `error`, `error_subcode` and the AADSTS numbers in `error_description`, and ignores `error_uri`.
    """
    error, numbers = answer.get("error", ""), aadsts_numbers(answer.get("error_description", ""))
    if error == "access_denied" and (answer.get("error_subcode") == "cancel" or not numbers):
        return SignInRefusal.CANCELLED
    # An error in a redirect has no HTTP status of its own; 400 says that the request was answered.
    return REFUSALS_BY_FAILURE_CODE.get(
        classify(TokenError(400, error, aadsts_numbers=numbers)).code, SignInRefusal.REFUSED
    )


def redemption_refusal(failure: Failure) -> str:
    """The code to show when the token endpoint did not redeem the browser's authorization code.

    The browser chose that code. A made-up one is refused as malformed, which says nothing about the app's registration.
    """
    codes: Mapping[str, str] = {
        "needs_sign_in": "sign_in_unknown",
        "app_configuration": SignInRefusal.APP_SETUP_SUSPECTED.value,
    }
    return codes.get(failure.code, failure.code)


def _matching_rule(answer: TokenError) -> tuple[FailureRule, int | None]:
    if answer.status in {408, 429} or answer.status >= 500:  # noqa: PLR2004 - HTTP's own numbers
        return RULES_BY_ERROR["temporarily_unavailable"], None
    by_error = RULES_BY_ERROR.get(answer.error, UNKNOWN_RULE)
    if answer.error == "invalid_client":
        # With any number, this is about the app and never about a person.
        return _rule_for_number(answer, by_error, {FailureKind.APP_FAULT, FailureKind.TRANSIENT})
    if answer.suberror in RULES_BY_SUBERROR:
        by_error = RULES_BY_SUBERROR[answer.suberror]
    elif answer.error == "invalid_grant":
        by_error = UNCONFIRMED_RULE
    return _rule_for_number(answer, by_error, set(FailureKind))


def _rule_for_number(
    answer: TokenError, rule: FailureRule, allowed: set[FailureKind]
) -> tuple[FailureRule, int | None]:
    for number in answer.aadsts_numbers:
        known = RULES_BY_AADSTS_NUMBER.get(number)
        if known is not None and known.kind in allowed and not _blames_client(known, answer):
            return known, number
    return rule, None


def _blames_client(rule: FailureRule, answer: TokenError) -> bool:
    """Whether the number blames the client's credential although `error` blames the code or refresh token.

    Entra has answered expired ones with `invalid_grant` and "AADSTS70002: Error validating credentials. AADSTS70008:
    The provided authorization code or refresh token is expired".
    """
    return answer.error == "invalid_grant" and rule.code == APP_CREDENTIAL_FAILURE.code


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
