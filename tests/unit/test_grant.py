"""Changes and schedules of a grant."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.account import AccountState, Principal
from shared.domain.clouds import Resource
from shared.domain.errors import TooManyRequests
from shared.domain.failure import Failure, FailureKind
from shared.domain.grant import DelegatedGrant
from shared.domain.renewal import grant_after_failure
from shared.domain.secret import Secret
from shared.domain.tokens import TokenSet
from shared.domain.work import WorkKind

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
DOUBTFUL = Failure(FailureKind.NEEDS_SIGN_IN, "needs_sign_in", confirmed=False)
STEP_UP = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'
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
    ).scheduled(NOON, 0)


def test_an_idle_grant_is_renewed_within_a_week() -> None:
    assert NOON + timedelta(days=7) == a_grant().due
    assert WorkKind.KEEPALIVE is a_grant().work
    assert NOON + timedelta(days=6.3) == a_grant().scheduled(NOON, 1).due


@pytest.mark.parametrize("jitter", [0, 0.5, 0.999])
def test_a_hot_grant_is_renewed_before_its_token_expires(jitter: float) -> None:
    due = a_grant().with_hand_out(NOON, jitter).due

    assert due is not None
    assert timedelta(minutes=5) < NOON + timedelta(minutes=75) - due <= timedelta(minutes=15)


def test_a_short_token_is_renewed_at_half_its_lifetime() -> None:
    short = replace(a_grant(), access_expires=NOON + timedelta(minutes=10))

    assert NOON + timedelta(minutes=5) == short.with_hand_out(NOON, 0).due


def test_a_grant_is_idle_a_day_after_its_last_hand_out() -> None:
    hot = a_grant().with_hand_out(NOON, 0)
    tomorrow = NOON + timedelta(hours=25)

    cold = hot.renewed(TOKENS._replace(expires=tomorrow + timedelta(hours=1)), tomorrow, 0)

    assert tomorrow + timedelta(days=7) == cold.due


def test_hand_outs_are_recorded_once_an_hour() -> None:
    hot = a_grant().with_hand_out(NOON, 0)

    assert hot.primary_token.has_recent_hand_out(NOON + timedelta(minutes=59))
    assert not hot.primary_token.has_recent_hand_out(NOON + timedelta(minutes=61))


def test_a_transient_failure_changes_no_state_and_backs_off() -> None:
    failure = Failure(FailureKind.TRANSIENT, "entra_unavailable")
    grant, pauses = a_grant(), []
    for _ in range(8):
        grant = grant_after_failure(grant, failure, NOON, 1)
        assert grant.due is not None
        pauses.append(grant.due - NOON)

    assert AccountState.CONNECTED is grant.state
    assert timedelta(minutes=1) == pauses[0]
    assert sorted(pauses) == pauses
    assert timedelta(minutes=30) == pauses[-1]


def test_retry_after_is_respected() -> None:
    failure = Failure(FailureKind.TRANSIENT, "entra_unavailable", retry_after=timedelta(minutes=50))

    grant = grant_after_failure(a_grant(), failure, NOON, 0)

    assert NOON + timedelta(minutes=50) == grant.due
    assert NOON + timedelta(minutes=50) == grant.not_before


@pytest.mark.parametrize("kind", [FailureKind.NEEDS_SIGN_IN, FailureKind.NEEDS_CONSENT])
def test_a_grant_that_needs_a_sign_in_stops_with_its_claims(kind: FailureKind) -> None:
    grant = grant_after_failure(a_grant(), Failure(kind, "needs_sign_in", claims="{}"), NOON, 0)

    assert None is grant.due
    assert AccountState.AUTHENTICATION_ERROR is grant.state
    assert "{}" == grant.claims


def test_a_blocked_grant_is_tried_once_a_day() -> None:
    grant = grant_after_failure(a_grant(), Failure(FailureKind.BLOCKED, "blocked_by_policy"), NOON, 0)

    assert NOON + timedelta(days=1) == grant.due
    assert AccountState.CONNECT_ERROR is grant.state


def test_a_third_invalid_grant_stops_the_grant() -> None:
    first = grant_after_failure(a_grant(), DOUBTFUL, NOON, 0)
    assert first.due is not None
    second = grant_after_failure(first, DOUBTFUL, first.due, 0)
    assert second.due is not None
    third = grant_after_failure(second, DOUBTFUL, second.due, 0)

    assert [AccountState.CONNECTED, AccountState.CONNECTED] == [first.state, second.state]
    assert (NOON + timedelta(minutes=5), NOON + timedelta(minutes=15)) == (first.due, second.due)
    assert AccountState.AUTHENTICATION_ERROR is third.state


def test_an_early_repetition_confirms_no_failure() -> None:
    first = grant_after_failure(a_grant(), DOUBTFUL, NOON, 0)
    again = first
    for seconds in range(1, 290, 10):
        again = grant_after_failure(again, DOUBTFUL, NOON + timedelta(seconds=seconds), 0.5)

    assert first == again


@pytest.mark.parametrize(
    ("kind", "pause"),
    [(FailureKind.TRANSIENT, timedelta(seconds=10)), (FailureKind.BLOCKED, timedelta(minutes=15))],
)
def test_a_failure_delays_the_next_on_demand_refresh(kind: FailureKind, pause: timedelta) -> None:
    assert NOON + pause == grant_after_failure(a_grant(), Failure(kind, "code"), NOON, 0).not_before


def test_scheduled_work_is_never_due_at_once() -> None:
    """The agenda row is written before the grant. If it were due at once, a worker could take it for a leftover."""
    nearly_over = replace(a_grant(), refreshed=NOON - timedelta(hours=1), access_expires=NOON + timedelta(minutes=6))
    forgotten = replace(a_grant(), refreshed=NOON - timedelta(days=30))

    assert NOON + timedelta(seconds=15) == nearly_over.with_hand_out(NOON, 0).due
    assert NOON + timedelta(seconds=15) == forgotten.scheduled(NOON, 0).due


def test_a_token_from_the_future_is_not_handed_out() -> None:
    """It was issued while a clock was ahead, so it may expire long before its recorded expiry."""
    ahead = replace(a_grant(), refreshed=NOON + timedelta(days=1), access_expires=NOON + timedelta(days=1, hours=1))

    assert not ahead.has_usable_token(NOON)
    assert ahead.has_usable_token(NOON + timedelta(days=1))


def test_a_grant_scheduled_too_far_ahead_is_rescheduled() -> None:
    far = replace(a_grant(), due=NOON + timedelta(days=30), handed_out=NOON + timedelta(days=23))

    assert not a_grant().is_scheduled_too_far_ahead(NOON)
    assert far.is_scheduled_too_far_ahead(NOON)
    assert (NOON + timedelta(seconds=15), None) == (far.rescheduled(NOON).due, far.rescheduled(NOON).handed_out)


def test_an_app_fault_blames_no_account() -> None:
    grant = grant_after_failure(a_grant(), Failure(FailureKind.APP_FAULT, "app_credential"), NOON, 0)

    assert AccountState.CONNECTED is grant.state
    assert grant.due is not None


def test_an_unknown_failure_becomes_an_error_after_two_days() -> None:
    unknown = Failure(FailureKind.TRANSIENT, "unknown_failure")
    first = grant_after_failure(a_grant(), unknown, NOON, 0)

    assert AccountState.CONNECTED is grant_after_failure(first, unknown, NOON + timedelta(days=2), 0).state
    assert (
        AccountState.CONNECT_ERROR is grant_after_failure(first, unknown, NOON + timedelta(days=2, seconds=1), 0).state
    )


def test_new_tokens_clear_all_failures() -> None:
    troubled = grant_after_failure(a_grant(), Failure(FailureKind.NEEDS_SIGN_IN, "needs_sign_in", claims="{}"), NOON, 0)

    mended = troubled.renewed(TOKENS, NOON, 0)

    assert (AccountState.CONNECTED, None, None, 0) == (mended.state, mended.last_error, mended.claims, mended.failures)
    assert Secret("newer") == mended.refresh_token


def test_a_lost_mailbox_is_probed_daily() -> None:
    grant = a_grant().after_probe(lost=True, now=NOON, jitter=0)

    assert NOON + timedelta(days=1) == grant.due
    assert grant.is_probe_due(NOON + timedelta(days=1))


def mail_tokens(expires: datetime) -> TokenSet:
    return TokenSet(Secret("newest"), Secret("mail"), expires, ("mail scope",), Resource.OUTLOOK)


def with_mail(grant: DelegatedGrant, *, minutes: int = 60) -> DelegatedGrant:
    return grant.renewed(mail_tokens(NOON + timedelta(minutes=minutes)), NOON, 0)


def test_resources_share_the_refresh_token_only() -> None:
    grant = with_mail(a_grant())

    mail = grant.token_for(Resource.OUTLOOK)
    assert mail is not None
    assert (Secret("mail"), ("mail scope",), NOON + timedelta(minutes=60)) == (mail.token, mail.scopes, mail.expires)
    assert (Secret("access"), ("scope",)) == (grant.primary_token.token, grant.primary_token.scopes)
    assert Secret("newest") == grant.refresh_token
    assert None is a_grant().token_for(Resource.OUTLOOK)


def test_only_hot_tokens_are_renewed_ahead() -> None:
    grant = with_mail(a_grant())
    assert (WorkKind.KEEPALIVE, Resource.GRAPH) == (grant.work, grant.next_resource(NOON + timedelta(minutes=50)))

    taken = replace(grant.with_hand_out(NOON, 0, Resource.OUTLOOK), probe_due=NOON + timedelta(days=7))
    assert NOON + timedelta(minutes=45) == taken.due
    assert Resource.OUTLOOK is taken.next_resource(NOON)

    both = taken.with_hand_out(NOON, 0)
    assert NOON + timedelta(minutes=45) == both.due
    assert Resource.GRAPH is both.renewed(mail_tokens(NOON + timedelta(minutes=110)), NOON, 0).next_resource(NOON)


def test_a_probe_needs_the_primary_token() -> None:
    taken = with_mail(a_grant()).with_hand_out(NOON, 0, Resource.OUTLOOK)

    assert Resource.GRAPH is replace(taken, probe_due=NOON).next_resource(NOON)


def test_a_refused_resource_does_not_stop_the_grant() -> None:
    grant = with_mail(a_grant()).with_hand_out(NOON, 0, Resource.OUTLOOK)

    refused = grant.with_refusal(Resource.OUTLOOK, "needs_consent", NOON, 0)

    assert (AccountState.CONNECTED, None, WorkKind.KEEPALIVE) == (refused.state, refused.last_error, refused.work)
    assert None is refused.token_for(Resource.OUTLOOK)
    assert "needs_consent" == refused.refusal_code(NOON + timedelta(minutes=14), Resource.OUTLOOK)
    assert None is refused.refusal_code(NOON + timedelta(minutes=15), Resource.OUTLOOK)
    assert None is refused.reauthorized(TOKENS, NOON, 0).refusal_code(NOON, Resource.OUTLOOK)


def test_a_new_primary_resource_drops_the_former_token() -> None:
    moved = with_mail(a_grant()).with_primary_resource(Resource.OUTLOOK, NOON)

    assert not moved.has_usable_token(NOON)
    assert None is moved.token_for(Resource.GRAPH)
    assert moved.renewed(mail_tokens(NOON + timedelta(hours=1)), NOON, 0).has_usable_token(NOON)


def test_claims_of_a_challenge_last_a_day_or_until_a_sign_in() -> None:
    grant = replace(a_grant(), claims=STEP_UP, challenged=NOON)

    assert STEP_UP == grant.renewed(TOKENS, NOON + timedelta(hours=23), 0).claims
    assert None is grant.renewed(TOKENS, NOON + timedelta(hours=24), 0).claims
    assert (STEP_UP, None) == tuple(grant.sign_in_claims(NOON + timedelta(hours=hours)) for hours in (23, 24))
    assert (None, None) == ((anew := grant.reauthorized(TOKENS, NOON, 0)).claims, anew.challenged)


def test_after_a_refused_sign_in_only_required_claims_are_sent() -> None:
    challenged = replace(a_grant(), claims=STEP_UP, challenged=NOON)
    stopped = replace(a_grant(), claims=STEP_UP, due=None)

    assert (STEP_UP, None) == tuple(challenged.sign_in_claims(NOON, refused=refused) for refused in (False, True))
    assert (STEP_UP, STEP_UP) == tuple(stopped.sign_in_claims(NOON, refused=refused) for refused in (False, True))


@pytest.mark.parametrize("claims", ["x" * 8000, '{"access_token":{"acrs":{"value":"' + "c" * 4000 + '"}}}', "[", "{}"])
def test_unchecked_claims_of_an_earlier_version_are_dropped(claims: str) -> None:
    assert None is replace(a_grant(), claims=claims, challenged=NOON).sign_in_claims(NOON)
    assert None is replace(a_grant(), claims=claims, due=None).sign_in_claims(NOON)


def test_callers_may_demand_two_refreshes_a_minute() -> None:
    grant = a_grant().with_on_demand_refresh(NOON).with_on_demand_refresh(NOON)

    with pytest.raises(TooManyRequests) as refused:
        grant.with_on_demand_refresh(NOON)
    assert timedelta(seconds=30) == refused.value.retry_after
    again = grant.with_on_demand_refresh(NOON + timedelta(seconds=30))
    with pytest.raises(TooManyRequests):
        again.with_on_demand_refresh(NOON + timedelta(seconds=31))


def test_a_refused_configuration_is_retried_like_any_failure() -> None:
    """It does not open the circuit breaker, because it may be wrong in one tenant only."""
    failed = grant_after_failure(a_grant(), Failure(FailureKind.APP_FAULT, "app_configuration"), NOON, 0)
    refused = grant_after_failure(a_grant(), Failure(FailureKind.APP_FAULT, "app_credential"), NOON, 0)

    assert (NOON + timedelta(seconds=10), None) == (failed.not_before, refused.not_before)
