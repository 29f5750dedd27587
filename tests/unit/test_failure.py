"""Classification of failures."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.entra_errors import ERROR_WORDS, FAILURE_RULES, classify
from shared.domain.failure import FailureKind, TokenError
from shared.domain.remedy import Reader, remedies


@pytest.mark.parametrize(
    ("expected", "answer"),
    [
        ("needs_sign_in", TokenError(400, "invalid_grant", "bad_token", (50173,))),
        ("needs_sign_in", TokenError(400, "invalid_grant", "", (700082,))),
        ("needs_sign_in", TokenError(400, "interaction_required", "basic_action", (50076,))),
        ("needs_sign_in", TokenError(400, "interaction_required", "", (999999,))),
        ("needs_sign_in", TokenError(400, "invalid_grant", "token_expired", (999999,))),
        ("needs_sign_in", TokenError(400, "user_password_expired", "user_password_expired", (50055,))),
        ("needs_consent", TokenError(400, "invalid_grant", "consent_required", (65001,))),
        ("needs_consent", TokenError(400, "invalid_grant", "", (65001,))),
        ("needs_consent", TokenError(400, "consent_required")),
        ("needs_admin_consent", TokenError(400, "access_denied", "", (90094,))),
        ("unknown_failure", TokenError(400, "access_denied", "", (123456,))),
        ("blocked_by_policy", TokenError(400, "invalid_grant", "message_only", (53003,))),
        ("blocked_by_policy", TokenError(400, "interaction_required", "", (53000,))),
        ("blocked_by_policy", TokenError(400, "invalid_grant", "", (530032,))),
        ("app_credential", TokenError(401, "invalid_client", "", (7000222,))),
        ("app_credential", TokenError(401, "invalid_client", "", (50173,))),
        ("app_credential", TokenError(400, "invalid_request", "", (70021,))),
        ("app_configuration", TokenError(401, "invalid_client", "", (650052,))),
        ("app_configuration", TokenError(400, "unauthorized_client", "", (700016,))),
        ("app_configuration", TokenError(400, "unauthorized_client", "", (50053,))),
        ("app_configuration", TokenError(400, "invalid_request", "bad_token", (90008,))),
        ("app_configuration", TokenError(400, "invalid_scope")),
        ("app_configuration", TokenError(400, "unsupported_grant_type")),
        ("entra_unavailable", TokenError(503)),
        ("entra_unavailable", TokenError(429, "invalid_grant", "bad_token", (50173,))),
        ("entra_unavailable", TokenError(400, "temporarily_unavailable", "", (90033,))),
        ("entra_unavailable", TokenError(400, "invalid_grant", "", (90033,))),
        ("cooling_down", TokenError(400, "invalid_grant", "", (50196,))),
        ("unknown_failure", TokenError(400, "something_new", "", (50173,))),
    ],
)
def test_an_error_has_its_documented_kind(expected: str, answer: TokenError) -> None:
    assert expected == classify(answer).code


@pytest.mark.parametrize("number", [50057, 500571, 50034, 500341, 51004, 50014, 16003, 50020, 90072])
@pytest.mark.parametrize("error", ["invalid_grant", "interaction_required"])
def test_a_person_who_left_the_directory_is_gone(error: str, number: int) -> None:
    assert "person_gone" == classify(TokenError(400, error, "bad_token", (number,))).code


@pytest.mark.parametrize("number", [50053, 80012])
def test_a_locked_person_is_tried_again_within_the_hour(number: int) -> None:
    failure = classify(TokenError(400, "invalid_grant", "", (number,)))

    assert ("person_locked", timedelta(hours=1)) == (failure.code, failure.retry_after)


@pytest.mark.parametrize("numbers", [(), (123456,), (9002313,), (7000222,), (500011,), (70002,), (700016, 7000215)])
def test_an_invalid_grant_without_a_reason_must_be_confirmed(numbers: tuple[int, ...]) -> None:
    """Reports of the live service have AADSTS9002313 with `invalid_grant`, for a refresh token that cannot be read."""
    failure = classify(TokenError(400, "invalid_grant", "", numbers))

    assert ("needs_sign_in", False) == (failure.code, failure.confirmed)
    assert failure.aadsts == next(iter(numbers[::-1]), None)


def test_an_invalid_grant_with_a_reason_is_believed() -> None:
    assert classify(TokenError(400, "invalid_grant", "bad_token")).confirmed
    assert classify(TokenError(400, "invalid_grant", "", (70008,))).confirmed


@pytest.mark.parametrize(
    ("error", "numbers", "expected"),
    [
        ("invalid_grant", (70002, 70008), ("needs_sign_in", 70008)),
        ("invalid_grant", (70008, 70002), ("needs_sign_in", 70008)),
        ("invalid_grant", (70002, 50057), ("person_gone", 50057)),
        ("invalid_client", (70002, 50012), ("app_credential", 50012)),
        ("invalid_client", (70002, 70008), ("app_credential", 70002)),
    ],
)
def test_the_number_that_matters_is_judged(error: str, numbers: tuple[int, ...], expected: tuple[str, int]) -> None:
    failure = classify(TokenError(400, error, "", numbers))

    assert expected == (failure.code, failure.aadsts)


def test_a_looping_client_cools_down_for_an_hour() -> None:
    answer = TokenError(400, "invalid_grant", "", (50196,), retry_after=timedelta(seconds=7))

    assert timedelta(hours=1) == classify(answer).retry_after


def test_retry_after_and_claims_are_kept() -> None:
    failure = classify(TokenError(429, claims='{"a":1}', retry_after=timedelta(seconds=7)))

    assert timedelta(seconds=7) == failure.retry_after
    assert '{"a":1}' == failure.claims


@given(st.integers(500, 599), st.text(max_size=30), st.text(max_size=30), st.tuples(st.integers(0, 10**7)))
def test_a_server_error_never_needs_a_new_sign_in(status: int, error: str, suberror: str, numbers: tuple[int]) -> None:
    assert FailureKind.TRANSIENT is classify(TokenError(status, error, suberror, numbers)).kind


def test_no_number_or_suberror_is_in_two_rows() -> None:
    for cells in (
        [number for row in FAILURE_RULES for number in row.aadsts],
        [suberror for row in FAILURE_RULES for suberror in row.suberrors],
    ):
        assert len(cells) == len(set(cells))


def test_every_row_has_a_remedy_and_a_source() -> None:
    known = set.intersection(*(set(remedies(reader)) for reader in Reader))

    assert not [row.code for row in FAILURE_RULES if row.code not in known or not row.source]
    assert not [error for error, word in ERROR_WORDS.items() if word.rule.kind not in word.kinds or not word.source]
