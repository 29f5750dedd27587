"""Errors that come back through the browser: a fixed set of codes, none of which proves a fault of the app."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.entra_errors import ERROR_WORDS, RULES_BY_AADSTS_NUMBER, classify
from shared.domain.failure import APP_CREDENTIAL_FAILURE, Failure, FailureKind, TokenError
from shared.domain.remedy import Reader, remedies
from shared.domain.sign_in_refusal import SignInRefusal, fresh_grant_refusal, redemption_refusal, sign_in_refusal

NUMBERS = sorted(RULES_BY_AADSTS_NUMBER)
ERRORS = sorted({*ERROR_WORDS, "", "something_new"})
# Codes that are facts about an app, a grant or a person. A browser proves none of them.
CERTAIN = {"app_credential", "app_configuration", "needs_sign_in", "person_gone", "oauth_app_gone", "secrets_lost"}


def described(error: str, number: int | str, subcode: str = "") -> SignInRefusal:
    return sign_in_refusal(
        {"error": error, "error_description": f"AADSTS{number}: made up", "error_subcode": subcode, "error_uri": "x"}
    )


@pytest.mark.parametrize(
    ("expected", "error", "number"),
    [
        ("access_denied", "access_denied", ""),
        ("needs_consent", "access_denied", 65004),
        ("needs_consent", "consent_required", 65001),
        ("needs_admin_consent", "access_denied", 90094),
        ("blocked_by_policy", "access_denied", 53003),
        ("entra_unavailable", "server_error", ""),
        ("entra_unavailable", "temporarily_unavailable", 90033),
        ("app_setup_suspected", "invalid_client", 7000215),
        ("app_setup_suspected", "unauthorized_client", 700016),
        ("app_setup_suspected", "invalid_resource", 500011),
        ("sign_in_refused", "interaction_required", 50076),
        ("sign_in_refused", "login_required", 50058),
        ("wrong_account", "interaction_required", 90072),
        ("wrong_account", "access_denied", 50020),
        ("wrong_account", "access_denied", 50034),
        ("wrong_account", "access_denied", 50057),
        ("blocked_by_policy", "access_denied", 500213),
        ("person_locked", "access_denied", 50053),
        ("sign_in_refused", "access_denied", 123456),
        ("sign_in_refused", "invalid_grant", ""),
        ("sign_in_refused", "something_new", 123456),
        ("sign_in_refused", "", ""),
    ],
)
def test_an_error_of_the_authorize_endpoint_has_its_code(expected: str, error: str, number: int | str) -> None:
    assert expected == described(error, number)


def test_cancelling_wins_over_other_errors() -> None:
    assert "access_denied" == described("access_denied", 7000215, "cancel")


@pytest.mark.parametrize("error", ERRORS)
def test_every_number_of_the_failure_table_has_a_known_code(error: str) -> None:
    told = {described(error, number) for number in NUMBERS}

    assert told <= set(SignInRefusal)
    assert told.isdisjoint(CERTAIN)


@given(st.dictionaries(st.sampled_from(["error", "error_description", "error_subcode", "error_uri"]), st.text()))
def test_any_error_from_a_browser_becomes_a_known_code(answer: dict[str, str]) -> None:
    assert sign_in_refusal(answer) in SignInRefusal


@pytest.mark.parametrize("digits", ["7" * 5000, "9" * 10, "²", "٣", ""])
def test_an_invalid_aadsts_number_raises_nothing(digits: str) -> None:
    assert "sign_in_refused" == described("something_new", digits)


def test_every_code_has_a_text_of_its_own() -> None:
    assert [] == [refusal for refusal in SignInRefusal if any(refusal not in remedies(reader) for reader in Reader)]


def test_a_malformed_code_does_not_blame_the_app() -> None:
    malformed = TokenError(400, "invalid_grant", "", (9002313,))

    assert "sign_in_unknown" == redemption_refusal(classify(malformed))
    assert "app_setup_suspected" == redemption_refusal(classify(malformed._replace(error="invalid_request")))
    assert "sign_in_unknown" == redemption_refusal(classify(TokenError(400, "invalid_grant", "", (70008,))))
    assert "app_credential" == redemption_refusal(APP_CREDENTIAL_FAILURE)
    assert "blocked_by_policy" == redemption_refusal(Failure(FailureKind.BLOCKED, "blocked_by_policy"))


@pytest.mark.parametrize("number", [50020, 90072, 50034, 50057])
def test_the_account_that_signed_in_is_the_wrong_one(number: int) -> None:
    """Nobody who authorized a mailbox is gone: the account has just signed in."""
    failure = classify(TokenError(400, "invalid_grant", "", (number,)))

    assert "wrong_account" == redemption_refusal(failure) == fresh_grant_refusal(failure)


@pytest.mark.parametrize("number", [row for row in NUMBERS if row in {70002, 7000215, 7000222, 700027, 50012}])
def test_an_expired_code_does_not_blame_the_apps_credential(number: int) -> None:
    """Entra has listed 70002, "Error validating credentials", before 70008, "The provided code is expired"."""
    failure = classify(TokenError(400, "invalid_grant", "", (number, 70008)))

    assert (FailureKind.NEEDS_SIGN_IN, "needs_sign_in") == (failure.kind, failure.code)
