"""Microsoft's error answers as data: which kind each is, and where Microsoft says so.

Sources: [codes] learn.microsoft.com, identity-platform/reference-error-codes; [flow] identity-platform/
v2-oauth2-auth-code-flow, "Error codes for token endpoint errors"; [ca] entra/identity/conditional-access; [wif]
identity-platform/workload-identity-federation; [loop] identity-platform/reference-breaking-changes, "looping clients";
[msal] suberrors as MSAL's libraries name them.
"""

from dataclasses import dataclass
from datetime import timedelta

from shared.domain.kinds import FailureKind


@dataclass(frozen=True, slots=True)
class Row:
    """Answers that mean the same: by `error`, by `suberror`, by AADSTS number. `pause` is a least time to wait."""

    code: str
    kind: FailureKind
    source: str
    errors: frozenset[str] = frozenset()
    suberrors: frozenset[str] = frozenset()
    aadsts: frozenset[int] = frozenset()
    pause: timedelta | None = None


def _row(
    code: str,
    kind: FailureKind,
    source: str,
    *,
    errors: str = "",
    suberrors: str = "",
    aadsts: tuple[int, ...] = (),
    pause: timedelta | None = None,
) -> Row:
    return Row(code, kind, source, frozenset(errors.split()), frozenset(suberrors.split()), frozenset(aadsts), pause)


ROWS = (
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
