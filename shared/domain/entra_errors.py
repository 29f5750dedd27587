"""What Entra's error answers mean: one table of `error` words, one of AADSTS numbers and suberrors, and one rule.

The protocol's `error` says what an answer is about, and so which kinds of failure it can stand for: the person and
their grant, the app and its request, or Entra itself (RFC 6749 section 5.2). Among these a known number chooses, or
else the suberror. A number that is unknown, or that belongs to another kind, changes nothing: Microsoft says to react
to `error`, and that numbers are diagnostic and may change.

Sources, on learn.microsoft.com: [codes] entra/identity-platform/reference-error-codes; [flow] entra/identity-platform/
v2-oauth2-auth-code-flow, "Error codes for token endpoint errors"; [ca] entra/identity/conditional-access; [wif]
entra/workload-id/workload-identity-federation; [loop] entra/identity-platform/reference-breaking-changes, "looping
clients"; [msal] suberrors as named in MSAL's libraries; [goals] viva/goals/integration-aad-errors; [guest]
troubleshoot/entra/entra-id/app-integration/error-code-aadsts500571-guest-user-account-is-disabled; [hdi]
azure/hdinsight/domain-joined/domain-joined-authentication-issues.
"""

from datetime import timedelta
from typing import NamedTuple

from shared.domain.failure import Failure, FailureKind, TokenError

BLOCKED_RETRY_INTERVAL = timedelta(days=1)


class FailureRule(NamedTuple):
    """Answers with the same meaning, matched by AADSTS number or suberror.

    `source` names the documentation behind it, `min_pause` is the least time to wait before the next call.
    """

    code: str
    kind: FailureKind
    source: str
    suberrors: frozenset[str] = frozenset()
    aadsts: frozenset[int] = frozenset()
    min_pause: timedelta | None = None


def _rule(
    code: str,
    kind: FailureKind,
    source: str,
    *,
    suberrors: str = "",
    aadsts: tuple[int, ...] = (),
    pause: timedelta | None = None,
) -> FailureRule:
    return FailureRule(code, kind, source, frozenset(suberrors.split()), frozenset(aadsts), pause)


NEEDS_SIGN_IN = _rule(
    "needs_sign_in",
    FailureKind.NEEDS_SIGN_IN,
    "[codes] [flow] [msal]; 135010 and 135011 by [goals]",
    suberrors="bad_token token_expired user_password_expired basic_action additional_action",
    aadsts=(
        *(50173, 700082, 70008, 70043, 700084, 70000, 50089, 50132, 50133, 50078, 50076, 50074, 50079, 50072),
        *(50158, 50055, 50144, 50085, 50097, 700020, 53004, 16000, 16001, 50058, 50135, 50139, 51006, 135010, 135011),
    ),
)
NEEDS_CONSENT = _rule(
    "needs_consent",
    FailureKind.NEEDS_CONSENT,
    "[codes] [flow]",
    suberrors="consent_required",
    aadsts=(65001, 65004, 90008),
)
NEEDS_ADMIN_CONSENT = _rule("needs_admin_consent", FailureKind.NEEDS_CONSENT, "[codes]", aadsts=(90094, 90095))
BLOCKED_BY_POLICY = _rule(
    "blocked_by_policy",
    FailureKind.BLOCKED,
    "[codes] [ca] [msal]; 530002 and 530003 by [goals]",
    suberrors="message_only protection_policy_required",
    aadsts=(
        *(53000, 53001, 53002, 53003, 530002, 530003, 530032, 530034, 530035, 530084, 53010, 53011, 50131, 50105),
        *(50005, 50002, 500021, 500022, 500212, 500213),
    ),
    pause=BLOCKED_RETRY_INTERVAL,
)
# Disabled, deleted, or not in the tenant: guests (50014, 16003, 50020, 90072) and accounts of another type (500208).
PERSON_GONE = _rule(
    "person_gone",
    FailureKind.BLOCKED,
    "[codes]; 500341 by [goals], 500571 by [guest]",
    aadsts=(50057, 500571, 50034, 500341, 51004, 50014, 16003, 50020, 90072, 50177, 50178, 500208),
    pause=BLOCKED_RETRY_INTERVAL,
)
# Smart lockout and blocked addresses end by themselves, as do the hours in which Active Directory allows no sign-in.
PERSON_LOCKED = _rule("person_locked", FailureKind.BLOCKED, "[codes]", aadsts=(50053, 80012), pause=timedelta(hours=1))
APP_CREDENTIAL = _rule(
    "app_credential",
    FailureKind.APP_FAULT,
    "[codes] [wif]",
    aadsts=(*(7000222, 7000215, 70002, 700024, 700027, 50012, 700030, 700211, 700212, 700213, 70021, 7000218, 700025),),
)
APP_CONFIGURATION = _rule(
    "app_configuration",
    FailureKind.APP_FAULT,
    "[codes]",
    aadsts=(
        *(700016, 700011, 70001, 7000112, 1000031, 90002, 50194, 50011, 500112, 900971, 70011, 28000, 28002, 28003),
        *(70022, 700022, 700023, 50001, 500011, 650052, 650054, 650057, 65005, 650056, 900144, 9002313, 700005, 501481),
        *(900382, 900432, 90038, 9001023),
    ),
)
UNAVAILABLE = _rule(
    "entra_unavailable",
    FailureKind.TRANSIENT,
    "[codes]; HTTP 408, 429 and 5xx by RFC 9110",
    aadsts=(
        *(90033, 90006, 90012, 90024, 90090, 90091, 50033, 50087, 50088, 50166, 40010, 70012, 80002, 80005),
        *(50000, 90055, 501621),
    ),
)
COOLING_DOWN = _rule(
    "cooling_down",
    FailureKind.TRANSIENT,
    "[loop]: arrives as invalid_grant, but is about our polling and not about the grant",
    aadsts=(50196,),
    pause=timedelta(hours=1),
)
UNKNOWN = _rule("unknown_failure", FailureKind.TRANSIENT, "ours: an unknown answer destroys nothing")
UNCONFIRMED = _rule(
    "needs_sign_in", FailureKind.NEEDS_SIGN_IN, "ours: an invalid_grant without a reason is confirmed first"
)

FAILURE_RULES = (
    *(NEEDS_SIGN_IN, NEEDS_CONSENT, NEEDS_ADMIN_CONSENT, BLOCKED_BY_POLICY, PERSON_GONE, PERSON_LOCKED),
    *(APP_CREDENTIAL, APP_CONFIGURATION, UNAVAILABLE, COOLING_DOWN),
)
RULES_BY_AADSTS_NUMBER = {number: rule for rule in FAILURE_RULES for number in rule.aadsts}
RULES_BY_SUBERROR = {suberror: rule for rule in FAILURE_RULES for suberror in rule.suberrors}

# What an answer can be about. Trying again later blames nobody, so it is always possible.
ABOUT_ENTRA = frozenset({FailureKind.TRANSIENT})
ABOUT_THE_PERSON = ABOUT_ENTRA | {FailureKind.NEEDS_SIGN_IN, FailureKind.NEEDS_CONSENT, FailureKind.BLOCKED}
ABOUT_THE_APP = ABOUT_ENTRA | {FailureKind.APP_FAULT}


class ErrorWord(NamedTuple):
    """A value of `error`: the kinds of failure that it can stand for, and what it means if nothing else is known."""

    kinds: frozenset[FailureKind]
    rule: FailureRule
    source: str


ERROR_WORDS = {
    "invalid_grant": ErrorWord(ABOUT_THE_PERSON, UNCONFIRMED, "RFC 6749 5.2 [codes]: the code or refresh token"),
    "interaction_required": ErrorWord(ABOUT_THE_PERSON, NEEDS_SIGN_IN, "[codes]: another step of the person"),
    "login_required": ErrorWord(ABOUT_THE_PERSON, NEEDS_SIGN_IN, "[flow]; OpenID Connect Core 3.1.2.6"),
    "user_password_expired": ErrorWord(ABOUT_THE_PERSON, NEEDS_SIGN_IN, "[hdi]"),
    "consent_required": ErrorWord(ABOUT_THE_PERSON, NEEDS_CONSENT, "[flow]; OpenID Connect Core 3.1.2.6"),
    "access_denied": ErrorWord(ABOUT_THE_PERSON, UNKNOWN, "RFC 6749 4.1.2.1 [flow]: the person or Entra refuses"),
    "invalid_client": ErrorWord(ABOUT_THE_APP, APP_CREDENTIAL, "RFC 6749 5.2 [codes]: client authentication failed"),
    "unauthorized_client": ErrorWord(ABOUT_THE_APP, APP_CONFIGURATION, "RFC 6749 5.2 [codes]: not in the tenant"),
    "invalid_request": ErrorWord(ABOUT_THE_APP, APP_CONFIGURATION, "RFC 6749 5.2 [codes]: fix the request"),
    "invalid_scope": ErrorWord(ABOUT_THE_APP, APP_CONFIGURATION, "RFC 6749 5.2; [codes] 70011: the app's scopes"),
    "invalid_resource": ErrorWord(ABOUT_THE_APP, APP_CONFIGURATION, "[codes]: not configured in the tenant"),
    "invalid_tenant": ErrorWord(ABOUT_THE_APP, APP_CONFIGURATION, "[codes] 90002: the authority's tenant is unknown"),
    "unsupported_grant_type": ErrorWord(ABOUT_THE_APP, APP_CONFIGURATION, "RFC 6749 5.2 [codes]"),
    "unsupported_response_type": ErrorWord(ABOUT_THE_APP, APP_CONFIGURATION, "RFC 6749 4.1.2.1 [flow]"),
    "temporarily_unavailable": ErrorWord(ABOUT_ENTRA, UNAVAILABLE, "RFC 6749 4.1.2.1 [codes]"),
    "server_error": ErrorWord(ABOUT_ENTRA, UNAVAILABLE, "RFC 6749 4.1.2.1 [flow]"),
}
UNKNOWN_WORD = ErrorWord(ABOUT_ENTRA, UNKNOWN, "ours")


def classify(answer: TokenError) -> Failure:
    """Classify an error answer."""
    rule, number = _rule_of(answer)
    return Failure(
        kind=rule.kind,
        code=rule.code,
        aadsts=number,
        retry_after=max(filter(None, (answer.retry_after, rule.min_pause)), default=None),
        claims=answer.claims,
        confirmed=rule is not UNCONFIRMED,
        trace=answer.trace,
    )


def _rule_of(answer: TokenError) -> tuple[FailureRule, int | None]:
    """The rule for an answer, and the number to report.

    Old answers carry several numbers, with the cause last: "AADSTS70002: Error validating credentials. AADSTS70008: The
    provided authorization code or refresh token is expired".
    """
    numbers = answer.aadsts_numbers[::-1]
    word = ERROR_WORDS.get(answer.error, UNKNOWN_WORD)
    if answer.status in {408, 429} or answer.status >= 500:  # noqa: PLR2004 - HTTP's own numbers
        word = ERROR_WORDS["temporarily_unavailable"]
    for number in numbers:
        rule = RULES_BY_AADSTS_NUMBER.get(number)
        if rule is not None and rule.kind in word.kinds:
            return rule, number
    rule = RULES_BY_SUBERROR.get(answer.suberror)
    return rule if rule is not None and rule.kind in word.kinds else word.rule, next(iter(numbers), None)
