"""Promises of a grant's moves."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.account import AccountState
from shared.domain.failure import Failure
from shared.domain.grant import DelegatedGrant
from shared.domain.kinds import FailureKind
from shared.domain.principal import Principal
from shared.domain.secret import Secret
from shared.domain.tokens import TokenSet
from shared.domain.work import WorkKind

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
DOUBTFUL = Failure(FailureKind.NEEDS_SIGN_IN, "needs_sign_in", confirmed=False)
TOKENS = TokenSet(Secret("newer"), Secret("access"), NOON + timedelta(minutes=75), ("scope",))


def a_grant() -> DelegatedGrant:
    return DelegatedGrant(
        principal=Principal("t", "o", "alice@contoso.example"),
        app="app",
        refresh_token=Secret("older"),
        access_token=Secret("access"),
        access_expires=NOON + timedelta(minutes=75),
        scopes=("scope",),
        refreshed=NOON,
        bindings="b",
    ).planned(NOON, 0)


def test_an_idle_grant_is_renewed_within_a_week() -> None:
    assert NOON + timedelta(days=7) == a_grant().due
    assert WorkKind.KEEPALIVE is a_grant().work
    assert NOON + timedelta(days=6.3) == a_grant().planned(NOON, 1).due


@pytest.mark.parametrize("jitter", [0, 0.5, 0.999])
def test_a_hot_grant_is_renewed_while_its_token_is_still_good_to_hand_out(jitter: float) -> None:
    due = a_grant().handed_out_at(NOON, jitter).due

    assert due is not None
    assert timedelta(minutes=5) < NOON + timedelta(minutes=75) - due <= timedelta(minutes=15)


def test_a_short_token_is_renewed_at_half_its_life_and_not_at_once() -> None:
    short = replace(a_grant(), access_expires=NOON + timedelta(minutes=10))

    assert NOON + timedelta(minutes=5) == short.handed_out_at(NOON, 0).due


def test_a_grant_cools_down_a_day_after_its_last_hand_out() -> None:
    hot = a_grant().handed_out_at(NOON, 0)
    tomorrow = NOON + timedelta(hours=25)

    cold = hot.renewed(replace(TOKENS, expires=tomorrow + timedelta(hours=1)), tomorrow, 0)

    assert tomorrow + timedelta(days=7) == cold.due


def test_hand_outs_are_marked_once_an_hour() -> None:
    hot = a_grant().handed_out_at(NOON, 0)

    assert hot.home.marked_at(NOON + timedelta(minutes=59))
    assert not hot.home.marked_at(NOON + timedelta(minutes=61))


def test_a_transient_failure_changes_no_state_and_backs_off() -> None:
    failure = Failure(FailureKind.TRANSIENT, "entra_unavailable")
    grant, pauses = a_grant(), []
    for _ in range(8):
        grant = grant.failed(failure, NOON, 1)
        assert grant.due is not None
        pauses.append(grant.due - NOON)

    assert AccountState.CONNECTED is grant.state
    assert timedelta(minutes=1) == pauses[0]
    assert sorted(pauses) == pauses
    assert timedelta(minutes=30) == pauses[-1]


def test_retry_after_is_waited_out() -> None:
    failure = Failure(FailureKind.TRANSIENT, "entra_unavailable", retry_after=timedelta(minutes=50))

    grant = a_grant().failed(failure, NOON, 0)

    assert NOON + timedelta(minutes=50) == grant.due
    assert NOON + timedelta(minutes=50) == grant.not_before


@pytest.mark.parametrize("kind", [FailureKind.NEEDS_SIGN_IN, FailureKind.NEEDS_CONSENT])
def test_a_grant_that_needs_a_person_stops_and_keeps_the_claims(kind: FailureKind) -> None:
    grant = a_grant().failed(Failure(kind, "needs_sign_in", claims="{}"), NOON, 0)

    assert None is grant.due
    assert AccountState.AUTHENTICATION_ERROR is grant.state
    assert "{}" == grant.claims


def test_a_blocked_grant_is_tried_once_a_day() -> None:
    grant = a_grant().failed(Failure(FailureKind.BLOCKED, "blocked_by_policy"), NOON, 0)

    assert NOON + timedelta(days=1) == grant.due
    assert AccountState.CONNECT_ERROR is grant.state


def test_an_unknown_invalid_grant_is_believed_the_third_time() -> None:
    first = a_grant().failed(DOUBTFUL, NOON, 0)
    assert first.due is not None
    second = first.failed(DOUBTFUL, first.due, 0)
    assert second.due is not None
    third = second.failed(DOUBTFUL, second.due, 0)

    assert [AccountState.CONNECTED, AccountState.CONNECTED] == [first.state, second.state]
    assert (NOON + timedelta(minutes=5), NOON + timedelta(minutes=15)) == (first.due, second.due)
    assert AccountState.AUTHENTICATION_ERROR is third.state


def test_asked_out_of_turn_the_same_answer_confirms_nothing() -> None:
    first = a_grant().failed(DOUBTFUL, NOON, 0)
    again = first
    for seconds in range(1, 290, 10):
        again = again.failed(DOUBTFUL, NOON + timedelta(seconds=seconds), 0.5)

    assert first == again


@pytest.mark.parametrize(
    ("kind", "pause"),
    [(FailureKind.TRANSIENT, timedelta(seconds=10)), (FailureKind.BLOCKED, timedelta(minutes=15))],
)
def test_after_a_failure_nobody_has_entra_asked_for_a_callers_sake_at_once(kind: FailureKind, pause: timedelta) -> None:
    assert NOON + pause == a_grant().failed(Failure(kind, "code"), NOON, 0).not_before


def test_what_is_planned_is_never_due_at_once() -> None:
    """The agenda's row is written before the grant's: due at once, it would be taken for one that is left over."""
    nearly_over = replace(a_grant(), refreshed=NOON - timedelta(hours=1), access_expires=NOON + timedelta(minutes=6))
    forgotten = replace(a_grant(), refreshed=NOON - timedelta(days=30))

    assert NOON + timedelta(seconds=15) == nearly_over.handed_out_at(NOON, 0).due
    assert NOON + timedelta(seconds=15) == forgotten.planned(NOON, 0).due


def test_a_token_from_the_future_is_not_handed_out() -> None:
    """A clock was ahead when it was got: Microsoft may see it end long before we do."""
    ahead = replace(a_grant(), refreshed=NOON + timedelta(days=1), access_expires=NOON + timedelta(days=1, hours=1))

    assert not ahead.good_at(NOON)
    assert ahead.good_at(NOON + timedelta(days=1))


def test_a_grant_that_waits_longer_than_any_plan_is_brought_back() -> None:
    far = replace(a_grant(), due=NOON + timedelta(days=30), handed_out=NOON + timedelta(days=23))

    assert not a_grant().astray_at(NOON)
    assert far.astray_at(NOON)
    assert (NOON + timedelta(seconds=15), None) == (far.recalled(NOON).due, far.recalled(NOON).handed_out)


def test_an_app_fault_blames_no_account() -> None:
    grant = a_grant().failed(Failure(FailureKind.APP_FAULT, "app_credential"), NOON, 0)

    assert AccountState.CONNECTED is grant.state
    assert grant.due is not None


def test_what_nobody_knows_is_an_error_only_after_two_days() -> None:
    unknown = Failure(FailureKind.TRANSIENT, "unknown_failure")
    first = a_grant().failed(unknown, NOON, 0)

    assert AccountState.CONNECTED is first.failed(unknown, NOON + timedelta(days=2), 0).state
    assert AccountState.CONNECT_ERROR is first.failed(unknown, NOON + timedelta(days=2, seconds=1), 0).state


def test_new_tokens_end_every_trouble() -> None:
    troubled = a_grant().failed(Failure(FailureKind.NEEDS_SIGN_IN, "needs_sign_in", claims="{}"), NOON, 0)

    mended = troubled.renewed(TOKENS, NOON, 0)

    assert (AccountState.CONNECTED, None, None, 0) == (mended.state, mended.last_error, mended.claims, mended.failures)
    assert Secret("newer") == mended.refresh_token


def test_a_lost_mailbox_is_looked_for_daily() -> None:
    grant = a_grant().probed(lost=True, now=NOON, jitter=0)

    assert NOON + timedelta(days=1) == grant.due
    assert grant.probe_due_at(NOON + timedelta(days=1))
