"""What a browser may say about its own sign-in: a fixed set of codes that concern this sign-in only.

The authorize endpoint reports errors through the browser, so anybody can write them. They decide which page the person
sees and which code the link's registration and its event carry, and nothing about the OAuth app, a grant or an account.
"""

from collections.abc import Mapping
from enum import StrEnum

from shared.domain.failure import Failure, TokenError, classify
from shared.domain.outside_number import aadsts_numbers


class SignInRefusal(StrEnum):
    """Why the sign-in came back without a code, as the browser tells it."""

    CANCELLED = "access_denied"
    NEEDS_CONSENT = "needs_consent"
    NEEDS_ADMIN_CONSENT = "needs_admin_consent"
    BLOCKED_BY_POLICY = "blocked_by_policy"
    TRY_AGAIN = "entra_unavailable"
    APP_SETUP_SUSPECTED = "app_setup_suspected"
    REFUSED = "sign_in_refused"


BY_FAILURE = {
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
    return BY_FAILURE.get(classify(TokenError(400, error, numbers=numbers)).code, SignInRefusal.REFUSED)


def redemption_refusal(failure: Failure) -> str:
    """The code for a person whose code the token endpoint did not redeem.

    The browser chose the code, and a made-up one is refused as malformed, which is no fault of the app's registration.
    """
    codes: Mapping[str, str] = {
        "needs_sign_in": "sign_in_unknown",
        "app_configuration": SignInRefusal.APP_SETUP_SUSPECTED.value,
    }
    return codes.get(failure.code, failure.code)
