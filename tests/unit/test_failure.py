"""Classification of failures."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.failure import FAILURE_RULES, FailureKind, TokenError, classify
from shared.domain.remedy import Reader, remedies


@pytest.mark.parametrize(
    ("expected", "answer"),
    [
        ("needs_sign_in", TokenError(400, "invalid_grant", "bad_token", (50173,))),
        ("needs_sign_in", TokenError(400, "invalid_grant", "", (700082,))),
        ("needs_sign_in", TokenError(400, "interaction_required", "basic_action", (50076,))),
        ("needs_sign_in", TokenError(400, "invalid_grant", "token_expired", (999999,))),
        ("needs_consent", TokenError(400, "invalid_grant", "consent_required", (65001,))),
        ("needs_admin_consent", TokenError(400, "access_denied", "", (90094,))),
        ("blocked_by_policy", TokenError(400, "invalid_grant", "message_only", (53003,))),
        ("blocked_by_policy", TokenError(400, "interaction_required", "", (53000,))),
        ("person_gone", TokenError(400, "invalid_grant", "", (50057,))),
        ("app_credential", TokenError(401, "invalid_client", "", (7000222,))),
        ("app_credential", TokenError(401, "invalid_client", "", (50173,))),
        ("app_configuration", TokenError(400, "unauthorized_client", "", (700016,))),
        ("app_configuration", TokenError(400, "invalid_scope")),
        ("entra_unavailable", TokenError(503)),
        ("entra_unavailable", TokenError(429, "invalid_grant", "bad_token", (50173,))),
        ("entra_unavailable", TokenError(400, "temporarily_unavailable", "", (90033,))),
        ("cooling_down", TokenError(400, "invalid_grant", "", (50196,))),
        ("unknown_failure", TokenError(400, "something_new", "", (123456,))),
    ],
)
def test_an_error_has_its_documented_kind(expected: str, answer: TokenError) -> None:
    assert expected == classify(answer).code


def test_an_unknown_invalid_grant_must_be_confirmed() -> None:
    assert not classify(TokenError(400, "invalid_grant", "", (123456,))).confirmed
    assert classify(TokenError(400, "invalid_grant", "bad_token")).confirmed


def test_a_looping_client_cools_down_for_an_hour() -> None:
    assert timedelta(hours=1) == classify(TokenError(400, "invalid_grant", "", (50196,))).retry_after


def test_retry_after_and_claims_are_kept() -> None:
    failure = classify(TokenError(429, claims='{"a":1}', retry_after=timedelta(seconds=7)))

    assert timedelta(seconds=7) == failure.retry_after
    assert '{"a":1}' == failure.claims


@given(st.integers(500, 599), st.text(max_size=30), st.text(max_size=30), st.tuples(st.integers(0, 10**7)))
def test_a_server_error_never_needs_a_new_sign_in(status: int, error: str, suberror: str, numbers: tuple[int]) -> None:
    assert FailureKind.TRANSIENT is classify(TokenError(status, error, suberror, numbers)).kind


@given(st.text(max_size=30), st.tuples(st.integers(0, 10**7)))
def test_a_refused_client_is_never_a_persons_fault(suberror: str, numbers: tuple[int]) -> None:
    kind = classify(TokenError(401, "invalid_client", suberror, numbers)).kind

    assert kind in {FailureKind.APP_FAULT, FailureKind.TRANSIENT}


def test_no_number_suberror_or_error_is_in_two_rows() -> None:
    for cells in (
        [number for row in FAILURE_RULES for number in row.aadsts],
        [suberror for row in FAILURE_RULES for suberror in row.suberrors],
        [error for row in FAILURE_RULES for error in row.errors],
    ):
        assert len(cells) == len(set(cells))


def test_every_row_has_a_remedy_and_a_source() -> None:
    known = set.intersection(*(set(remedies(reader)) for reader in Reader))
    assert not [row.code for row in FAILURE_RULES if row.code not in known or not row.source]
