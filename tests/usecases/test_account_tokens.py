"""The token of an account for use inside Mailbind, and another one after Graph has refused it."""

import asyncio

import pytest

from infra.local.visitor import Visitor
from shared.domain.errors import NotAuthorized, TooManyRequests, Unavailable
from shared.ports import App
from shared.usecases.accounts.change import AccountChange, change_account
from shared.usecases.tokens.account_token import account_token, token_after_rejection
from tests.journey.conftest import Tenant
from tests.usecases.conftest import SUPPORT, NewPerson, StartApp, bind
from tests.usecases.grants import CLAIMS, grant_of, refreshes


async def test_token_for_use_inside_makes_the_grant_hot(app: App, visitor: Visitor, person: NewPerson) -> None:
    account = await bind(app, visitor, person())

    given = await account_token(app, account)

    assert (account, SUPPORT, True) == (given.account.id, given.account.email, given.cached)
    assert given.grant.app == given.account.app
    assert (await grant_of(app, account)).value.primary_token.is_hot(app.clock())


async def test_rejected_token_is_refreshed_once_for_all_calls(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    rejected, before = await account_token(app, account), refreshes(tenant, who)

    others = await asyncio.gather(*(token_after_rejection(app, rejected, None) for _ in range(20)))
    late = await token_after_rejection(app, rejected, None)

    assert 1 == refreshes(tenant, who) - before
    assert {late.token.token} == {each.token.token for each in others} != {rejected.token.token}


async def test_token_that_another_instance_has_refreshed_is_used(
    new_app: StartApp, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    (app, other), who = (new_app(), new_app()), person()
    account = await bind(app, visitor, who)
    rejected = await account_token(app, account)
    refreshed = await token_after_rejection(other, rejected, None)
    before = refreshes(tenant, who)

    assert refreshed.token.token == (await token_after_rejection(app, rejected, None)).token.token
    assert before == refreshes(tenant, who)


async def test_claims_of_graph_go_to_entra(app: App, visitor: Visitor, person: NewPerson, tenant: Tenant) -> None:
    who = person()
    account = await bind(app, visitor, who)
    rejected = await account_token(app, account)
    tenant.do("fail", endpoint="token", failure="50076", times=1, person=who, grant="refresh_token")

    with pytest.raises(NotAuthorized) as refused:
        await token_after_rejection(app, rejected, CLAIMS)

    assert "claims_challenge" == refused.value.code
    assert None is not (await grant_of(app, account)).value.claims


async def test_revoked_sign_in_needs_a_person(app: App, visitor: Visitor, person: NewPerson, tenant: Tenant) -> None:
    who = person()
    account = await bind(app, visitor, who)
    rejected = await account_token(app, account)
    tenant.do("revoke", person=who)

    with pytest.raises(NotAuthorized) as refused:
        await token_after_rejection(app, rejected, None)

    last_error = (await grant_of(app, account)).value.last_error
    assert last_error is not None
    assert refused.value.code == last_error.code


async def test_paused_account_gets_no_other_token(app: App, visitor: Visitor, person: NewPerson) -> None:
    account = await bind(app, visitor, person())
    rejected = await account_token(app, account)
    await change_account(app, account, AccountChange(paused=True), {})

    with pytest.raises(NotAuthorized, match="paused"):
        await token_after_rejection(app, rejected, None)


async def test_tokens_that_are_always_rejected_meet_the_limit(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    given = await account_token(app, account)
    before = refreshes(tenant, who)
    for _ in range(2):
        given = await token_after_rejection(app, given, None)

    with pytest.raises(TooManyRequests):
        await token_after_rejection(app, given, None)

    assert 2 == refreshes(tenant, who) - before


async def test_outage_after_a_rejection_is_temporary(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    account = await bind(app, visitor, person())
    rejected = await account_token(app, account)
    tenant.do("outage", endpoint="token", mode="503")

    with pytest.raises(Unavailable):
        await token_after_rejection(app, rejected, None)
