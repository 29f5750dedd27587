"""The refresh engine handles each failure where it belongs and blames nobody else."""

import asyncio
import tomllib
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from itertools import cycle
from pathlib import Path

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.visitor import Visitor
from shared.bootstrap import build
from shared.domain.account import AccountState, Principal
from shared.domain.errors import Unavailable
from shared.domain.secret import Secret
from shared.ports import App, SignedIn
from shared.usecases.accounts.change import remove_account
from shared.usecases.apps.circuit_breaker import open_breakers
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.sign_in.binding import bind_invited_mailboxes
from shared.usecases.sign_in.invitation import Invitation
from shared.usecases.sign_in.start import start_registration
from shared.usecases.tokens.hand_out import hand_out
from shared.usecases.tokens.refresh import refresh_grant
from tests.conftest import MovedClock, first_app, unguarded
from tests.journey.conftest import Tenant, ask, bind, code_of
from tests.usecases.grants import events_of, grant_of

type NewPerson = Callable[..., str]

CATALOGUE = Path(__file__).parents[2] / "infra/local/tenant/failures.toml"
# What each group of the catalogue has to come to: the account's state, whether the grant is still worked, the event.
EXPECTED = {
    "needs_sign_in": (AccountState.AUTHENTICATION_ERROR, False, "authenticationError"),
    "needs_consent": (AccountState.AUTHENTICATION_ERROR, False, "authenticationError"),
    "blocked_by_policy": (AccountState.CONNECT_ERROR, True, "connectError"),
    "person_gone": (AccountState.CONNECT_ERROR, True, "connectError"),
    "app_fault": (AccountState.CONNECTED, True, None),
    "configuration": (AccountState.CONNECTED, True, None),
    "transient": (AccountState.CONNECTED, True, None),
    "loop": (AccountState.CONNECTED, True, None),
    "open": (AccountState.CONNECTED, True, None),
}
ROWS = [
    (number, group)
    for group, facts in tomllib.loads(CATALOGUE.read_text())["entra"].items()
    if group in EXPECTED
    for number in facts["rows"]
]


def state_of(api: httpx.Client, account: str) -> tuple[str, str | None]:
    found = api.get(f"/v1/account/{account}").json()
    return found["state"], (found["lastError"] or {}).get("code")


@pytest.mark.parametrize(("number", "group"), ROWS)
async def test_every_row_of_the_failure_table_through_the_real_path(
    api: httpx.Client,
    visitor: Visitor,
    person: NewPerson,
    instance: App,
    clock: MovedClock,
    tenant: Tenant,
    number: str,
    group: str,
) -> None:
    who = person()
    account = bind(api, visitor, who)
    clock.forward(hours=2)
    tenant.do("fail", endpoint="token", failure=number, times=1, person=who, grant="refresh_token")

    refreshed = await refresh_grant(instance, await grant_of(instance, account))

    state, worked, event = EXPECTED[group]
    grant = (await grant_of(instance, account)).value
    assert refreshed is not None
    assert refreshed.failure is not None
    assert state == state_of(api, account)[0], refreshed.failure
    assert worked == (grant.due is not None)
    assert ([event] if event else []) == [
        name for name in await events_of(instance, account) if name in {"authenticationError", "connectError"}
    ]
    if grant.due is not None:
        wait = grant.due - clock()
        expected = {AccountState.CONNECT_ERROR: timedelta(hours=23)}.get(state, timedelta())
        assert wait > (timedelta(minutes=55) if group == "loop" else expected)
    assert 1 == grant.failures


async def test_expired_client_secret_blames_no_account_and_recovers(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App, clock: MovedClock, tenant: Tenant
) -> None:
    accounts = [bind(api, visitor, person()) for _ in range(3)]
    clock.forward(hours=2)
    tenant.do("fail", endpoint="token", failure="7000222", times=1000, grant="refresh_token")

    for _ in range(3):
        for account in accounts:
            with pytest.raises(Unavailable) as unavailable:
                await hand_out(instance, account)
            assert "app_credential" == unavailable.value.code
    assert 1 == len([event for event in tenant.events("failed") if event.get("failure") == "7000222"])
    (breaker,) = api.get("/v1/stats").json()["breakers"]
    assert ("app_credential", 7000222) == (breaker["code"], breaker["aadsts"])
    assert "client secret" in breaker["action"]
    assert ["connected"] * 3 == [state_of(api, account)[0] for account in accounts]

    clock.forward(seconds=61)
    results = await asyncio.gather(*(hand_out(instance, account) for account in accounts), return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)
    assert 2 == len([event for event in tenant.events("failed") if event.get("failure") == "7000222"])

    tenant.do("reset")
    _people_again(tenant)
    clock.forward(seconds=61)
    token = await hand_out(instance, accounts[0])
    assert not token.cached
    assert not (await hand_out(instance, accounts[1])).cached
    assert [] == api.get("/v1/stats").json()["breakers"]


def _people_again(tenant: Tenant) -> None:
    tenant.do("person", create=9999, mailbox="support@contoso.example")


async def test_second_client_secret_takes_over_without_a_gap(
    api: httpx.Client, visitor: Visitor, person: NewPerson, environment: Environment, clock: MovedClock
) -> None:
    account = bind(api, visitor, person())
    good = environment.settings["MAILBIND_OAUTH_CLIENT_SECRET"]
    both = {"MAILBIND_OAUTH_CLIENT_SECRET": "expired-secret", "MAILBIND_OAUTH_CLIENT_SECRET_2": good}
    rotated = build({**environment.settings, **both}, clock)
    clock.forward(hours=2)
    try:
        assert not (await hand_out(rotated, account)).cached
        assert () == tuple(await open_breakers(rotated))
    finally:
        await rotated.close()


async def test_retry_after_is_honoured_by_every_instance(
    api: httpx.Client,
    visitor: Visitor,
    person: NewPerson,
    instance: App,
    other: App,
    clock: MovedClock,
    tenant: Tenant,
) -> None:
    account = bind(api, visitor, person())
    clock.forward(hours=2)
    tenant.do("throttle", endpoint="token", times=1, retryAfter=120)
    with pytest.raises(Unavailable):
        await hand_out(instance, account)
    calls = len(tenant.events("refreshed"))
    with pytest.raises(Unavailable) as unavailable:
        await hand_out(other, account)
    assert timedelta(seconds=100) < (unavailable.value.retry_after or timedelta()) <= timedelta(seconds=120)
    assert calls == len(tenant.events("refreshed"))
    clock.forward(seconds=121)
    assert not (await hand_out(other, account)).cached


async def test_missing_scope_differs_from_missing_access(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    tenant.do("fail", endpoint="graph", failure="Authorization_RequestDenied", times=1, person=who)

    assert "missing_scope" == code_of(visitor.follow(ask(api)["url"], who))


async def test_grant_with_very_many_accounts_fails_and_recovers_as_one(
    environment: Environment, person: NewPerson, tenant: Tenant
) -> None:
    reusing = build({**environment.settings, "MAILBIND_OAUTH_CREDENTIAL_REUSE": "true"})
    who, count = person(), 55
    people = tenant.client.get(str(tenant.client.base_url).removesuffix("/")).json()["people"]
    oid = next(row["oid"] for row in people if row["upn"] == who)
    app = first_app(reusing)
    token = Secret(tenant.do("sign-in", person=who)["refreshToken"])
    signed_in = SignedIn(Principal(app.tenant, oid, who), await unguarded(reusing).refresh(app, token))

    mailboxes = cycle(tenant.do("mailbox", create=6, person=who)["mailboxes"])  # one serves no more than ten accounts
    emails = {f"{who.partition('@')[0]}-{number}": next(mailboxes) for number in range(count)}

    async def sign_in(name: str) -> None:
        invitation = Invitation("https://myapp.example/", name, email=emails[name], delegated=True)
        started = await start_registration(reusing, invitation, {}, ADMINISTRATOR)
        asked = await reusing.stores.registrations.get(started.registration)
        assert asked is not None
        await bind_invited_mailboxes(reusing, asked.value, app, signed_in)

    async def states() -> dict[str, int]:
        partition = await reusing.stores.principals.partition(signed_in.principal.id)
        return dict(Counter(str(stored.value.state) for stored in partition.accounts.values()))

    try:
        for name in emails:
            await sign_in(name)
        tenant.do("fail", endpoint="token", failure="50173", times=1, person=who, grant="refresh_token")
        stored = await reusing.stores.principals.grant(signed_in.principal.id, app.id)
        assert stored is not None
        await refresh_grant(reusing, stored)
        assert {"authenticationError": count} == await states()

        await sign_in(next(iter(emails)))

        assert {"connected": count} == await states()
    finally:
        for name in emails:
            await remove_account(reusing, name)
        await reusing.close()
