"""Why a sign-in did not succeed at Microsoft: the codes of pages, registrations and their events."""

from collections.abc import Mapping
from enum import StrEnum

from shared.domain.entra_errors import classify
from shared.domain.failure import Failure, TokenError, aadsts_numbers


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
    WRONG_ACCOUNT = "wrong_account"
    PERSON_LOCKED = "person_locked"
    TRY_AGAIN = "entra_unavailable"
    APP_SETUP_SUSPECTED = "app_setup_suspected"
    REFUSED = "sign_in_refused"


REFUSALS_BY_FAILURE_CODE = {
    "needs_consent": SignInRefusal.NEEDS_CONSENT,
    "needs_admin_consent": SignInRefusal.NEEDS_ADMIN_CONSENT,
    "blocked_by_policy": SignInRefusal.BLOCKED_BY_POLICY,
    "person_gone": SignInRefusal.WRONG_ACCOUNT,
    "person_locked": SignInRefusal.PERSON_LOCKED,
    "entra_unavailable": SignInRefusal.TRY_AGAIN,
    "app_credential": SignInRefusal.APP_SETUP_SUSPECTED,
    "app_configuration": SignInRefusal.APP_SETUP_SUSPECTED,
}


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
    return codes.get(failure.code) or fresh_grant_refusal(failure)


def fresh_grant_refusal(failure: Failure) -> str:
    """The code to show when Entra refuses a grant that no account has yet.

    It is then about the account that just signed in, and not about a person who authorized a mailbox and left.
    """
    return SignInRefusal.WRONG_ACCOUNT.value if failure.code == "person_gone" else failure.code
