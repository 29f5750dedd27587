"""No answer about one grant opens an app's circuit breaker, and no answer about the app blames a person."""

from datetime import UTC, datetime, timedelta
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.account import AccountState, Principal
from shared.domain.entra_errors import (
    ABOUT_THE_APP,
    ABOUT_THE_PERSON,
    ERROR_WORDS,
    RULES_BY_AADSTS_NUMBER,
    RULES_BY_SUBERROR,
    classify,
)
from shared.domain.failure import FailureKind, TokenError
from shared.domain.grant import DelegatedGrant
from shared.domain.oauth_app import concerns_app
from shared.domain.renewal import grant_after_failure
from shared.domain.secret import Secret
from shared.domain.sign_in_refusal import SignInRefusal, redemption_refusal, sign_in_refusal

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
GRANT = DelegatedGrant(
    principal=Principal("t", "o", "alice@contoso.example"),
    app="app",
    refresh_token=Secret("older"),
    access_token=Secret("access"),
    access_expires=NOON + timedelta(minutes=75),
    scopes=("scope",),
    refreshed=NOON,
    bindings="b",
)
# Codes of a page that say something of the person who signed in.
PERSONAL = {
    *("sign_in_unknown", "needs_consent", "needs_admin_consent", "blocked_by_policy", "wrong_account"),
    *("person_gone", "person_locked"),
}
OF_THE_APP = {"app_credential", "app_configuration", SignInRefusal.APP_SETUP_SUSPECTED.value}

NUMBERS = st.lists(st.sampled_from(sorted(RULES_BY_AADSTS_NUMBER)) | st.integers(0, 999_999_999), max_size=4).map(tuple)
SUBERRORS = st.sampled_from(["", *sorted(RULES_BY_SUBERROR)]) | st.text(max_size=20)
PERSON_WORDS = sorted(error for error, word in ERROR_WORDS.items() if word.kinds == ABOUT_THE_PERSON)
APP_WORDS = sorted(error for error, word in ERROR_WORDS.items() if word.kinds == ABOUT_THE_APP)


def answers(errors: st.SearchStrategy[str]) -> st.SearchStrategy[TokenError]:
    statuses = st.sampled_from([400, 401, 403])
    return st.builds(TokenError, statuses, errors, SUBERRORS, NUMBERS, st.none(), st.none(), st.none())


def after_days_of(answer: TokenError) -> DelegatedGrant:
    """A grant that Entra answers like this for three days."""
    grant = GRANT
    for hour in range(0, 72, 8):
        grant = grant_after_failure(grant, classify(answer), NOON + timedelta(hours=hour), 0)
    return grant


def test_words_are_about_one_thing_each() -> None:
    assert {"invalid_grant", "interaction_required", "consent_required"} <= set(PERSON_WORDS)
    assert {"invalid_client", "unauthorized_client", "invalid_request", "invalid_scope"} <= set(APP_WORDS)


@given(answers(st.sampled_from(PERSON_WORDS) | st.text(max_size=20).filter(lambda text: text not in APP_WORDS)))
def test_an_answer_about_a_grant_opens_no_circuit_breaker(answer: TokenError) -> None:
    failure = classify(answer)

    assert failure.kind is not FailureKind.APP_FAULT
    assert not concerns_app(failure.code, failure.aadsts)
    assert redemption_refusal(failure) not in OF_THE_APP


@given(answers(st.just("invalid_grant")))
def test_an_invalid_grant_is_told_to_somebody_within_days(answer: TokenError) -> None:
    is_passing = classify(answer).kind is FailureKind.TRANSIENT

    assert is_passing == (after_days_of(answer).state is AccountState.CONNECTED)


def test_every_known_number_stays_within_what_its_error_is_about() -> None:
    suberrors = ["", "something_new", *RULES_BY_SUBERROR]
    for (error, word), suberror, number in product(ERROR_WORDS.items(), suberrors, RULES_BY_AADSTS_NUMBER):
        for numbers in ((number,), (70002, number), (number, 123456)):
            assert classify(TokenError(400, error, suberror, numbers)).kind in word.kinds, (error, suberror, numbers)


@given(answers(st.sampled_from(APP_WORDS)))
def test_an_answer_about_the_app_blames_no_account(answer: TokenError) -> None:
    failure, grant = classify(answer), after_days_of(answer)

    assert failure.kind in {FailureKind.APP_FAULT, FailureKind.TRANSIENT}
    assert (AccountState.CONNECTED, None) == (grant.state, grant.last_error)
    assert grant.due is not None
    assert redemption_refusal(failure) not in PERSONAL


@given(st.sampled_from(APP_WORDS), NUMBERS)
def test_an_error_about_the_app_blames_nobody_at_sign_in(error: str, numbers: tuple[int, ...]) -> None:
    text = " ".join(f"AADSTS{number}: made up" for number in numbers)

    assert sign_in_refusal({"error": error, "error_description": text}).value not in PERSONAL


@given(st.sampled_from(PERSON_WORDS), NUMBERS)
def test_an_error_about_the_person_blames_no_app(error: str, numbers: tuple[int, ...]) -> None:
    text = " ".join(f"AADSTS{number}: made up" for number in numbers)

    assert sign_in_refusal({"error": error, "error_description": text}).value not in OF_THE_APP


@given(SUBERRORS, NUMBERS, st.sampled_from(sorted(ERROR_WORDS)))
def test_an_unknown_number_changes_nothing(suberror: str, numbers: tuple[int, ...], error: str) -> None:
    known = tuple(number for number in numbers if number in RULES_BY_AADSTS_NUMBER)
    first, second = (classify(TokenError(400, error, suberror, listed)) for listed in (numbers, known))

    assert (first.kind, first.code, first.confirmed) == (second.kind, second.code, second.confirmed)
