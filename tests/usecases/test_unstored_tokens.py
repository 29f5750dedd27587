"""Tokens that Microsoft issues but storage does not accept."""

import logging
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from infra.local.environment import APP_ID
from infra.local.visitor import Visitor
from shared.domain.grant import DelegatedGrant
from shared.ports import App
from shared.usecases.accounts.change import remove_account
from shared.usecases.tokens.hand_out import hand_out
from shared.usecases.tokens.probe import reconnect_account
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant, tick
from tests.usecases.conftest import NewPerson, StartApp, bind
from tests.usecases.grants import grant_of, refreshes

# Sealed, it is more than four properties take (shared/adapters/tables/sealed_parts.py).
TOO_LARGE = {"groups": ["x" * 1000] * 200}


async def stored_grant(app: App, account: str) -> DelegatedGrant:
    return (await grant_of(app, account)).value


@pytest.fixture
async def large(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, clock: MovedClock
) -> AsyncIterator[tuple[str, str]]:
    """A person's bound and hot account, whose next tokens are too large to store."""
    who = person()
    account = await bind(app, visitor, who)
    await hand_out(app, account)
    tenant.do("access-token", claims=TOO_LARGE, times=1)
    clock.forward(hours=2)
    yield account, who
    await remove_account(app, account)


@pytest.mark.parametrize("characters", [26_000, 48 * 1024])
async def test_large_token_is_stored_and_handed_out(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, characters: int
) -> None:
    tenant.do("access-token", claims={"groups": ["x" * characters]}, times=2)

    account = await bind(app, visitor, person())
    handed = await hand_out(app, account)

    assert handed.cached
    assert len(handed.access_token.reveal()) > characters
    assert (await reconnect_account(app, account)).failed is None
    assert len((await stored_grant(app, account)).access_token.reveal()) > characters


async def test_unstored_token_is_handed_out_and_entra_asked_once(
    large: tuple[str, str], app: App, tenant: Tenant, clock: MovedClock, caplog: pytest.LogCaptureFixture
) -> None:
    account, who = large
    before, asked = await stored_grant(app, account), refreshes(tenant, who)

    with caplog.at_level(logging.ERROR):
        tokens = [(await hand_out(app, account)).access_token for _ in range(5)]
    clock.forward(minutes=2)
    tokens.append((await hand_out(app, account)).access_token)

    assert 1 == len({token.reveal() for token in tokens})
    assert len(tokens[0].reveal()) > 200_000
    assert 1 == refreshes(tenant, who) - asked
    after = await stored_grant(app, account)
    assert (before.access_token, before.state, 2) == (after.access_token, after.state, after.failures)
    told = [record for record in caplog.records if record.message == "refreshed grant not stored"]
    assert [("NotStorable", APP_ID)] == [(one.__dict__["reason"], one.__dict__["app"]) for one in told][:1]


async def test_timer_backs_off_while_tokens_cannot_be_stored(
    large: tuple[str, str], app: App, new_app: StartApp, tenant: Tenant, clock: MovedClock
) -> None:
    account, who = large
    other = new_app()
    tenant.do("access-token", claims=TOO_LARGE, times=1000)
    asked, pauses = refreshes(tenant, who), []
    for _ in range(6):
        due = (await stored_grant(app, account)).due
        assert due is not None
        clock.forward(seconds=max((due - clock()).total_seconds(), 0) + 1)
        for instance in (app, other):
            await tick(instance)
        after = await stored_grant(app, account)
        assert after.due is not None
        pauses.append(after.due - clock())

    assert timedelta(minutes=15) < pauses[-1] <= timedelta(minutes=30)
    assert max(pauses) > 8 * min(pauses)
    # Each instance made one request for tokens that are valid for more than an hour.
    assert refreshes(tenant, who) - asked <= 4


async def test_grant_recovers_once_tokens_can_be_stored(large: tuple[str, str], app: App, clock: MovedClock) -> None:
    account, _ = large
    await hand_out(app, account)
    clock.forward(hours=2)

    handed = await hand_out(app, account)

    after = await stored_grant(app, account)
    assert (handed.access_token, 0, None) == (after.access_token, after.failures, after.failing_since)


async def test_newer_stored_tokens_replace_those_in_memory(large: tuple[str, str], app: App, clock: MovedClock) -> None:
    account, _ = large
    kept = (await hand_out(app, account)).access_token
    clock.forward(minutes=5)

    await reconnect_account(app, account)

    handed = await hand_out(app, account)
    assert (True, False) == (handed.cached, kept == handed.access_token)
