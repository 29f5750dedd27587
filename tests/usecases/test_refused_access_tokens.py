"""Microsoft 365 refuses a fresh access token again and again: a refusal, and no outage."""

import logging

import pytest

from infra.local.visitor import Visitor
from shared.domain.account import AccountState
from shared.domain.registration import RegistrationStatus
from shared.ports import App
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.sign_in.start import reauthorize_account
from shared.usecases.tokens.probe import reconnect_account
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant, tick
from tests.usecases.conftest import REDIRECT_URL, NewPerson, ask, bind, end_of, sign_in, state_of, states

CONNECTED = (AccountState.CONNECTED, None)
CHALLENGE = "TokenIssuedBeforeRevocationTimestamp"
REFUSALS = {
    "InvalidAuthenticationToken": "access_token_refused",
    "ReauthenticationRequired": "access_token_refused",
    CHALLENGE: "mailbox_claims_challenge",
}


def refuse(tenant: Tenant, who: str, failure: str, times: int) -> None:
    tenant.do("fail", endpoint="graph", failure=failure, times=times, person=who)


@pytest.mark.parametrize("failure", REFUSALS)
async def test_sign_in_ends_with_a_refusal(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, failure: str, caplog: pytest.LogCaptureFixture
) -> None:
    who, link = person(), await ask(app)
    refuse(tenant, who, failure, times=4)  # the profile and the person's own inbox, twice each

    with caplog.at_level(logging.INFO):
        ended = end_of(await sign_in(app, visitor, link, who))

    assert REFUSALS[failure] == ended
    assert [RegistrationStatus.FAILED, "pending"] == await states(app, link)
    refusals = [record.__dict__ for record in caplog.records if record.message == "graph refused"]
    graph_code = "InvalidAuthenticationToken" if failure == CHALLENGE else failure
    assert {(401, graph_code, REFUSALS[failure])} == {(one["status"], one["code"], one["reason"]) for one in refusals}
    assert "new" == end_of(await sign_in(app, visitor, link, who))


async def test_single_refusal_is_asked_again(app: App, visitor: Visitor, person: NewPerson, tenant: Tenant) -> None:
    who = person()
    refuse(tenant, who, "InvalidAuthenticationToken", times=1)

    assert "new" == end_of(await sign_in(app, visitor, await ask(app), who))


async def test_next_sign_in_carries_the_claims_of_a_challenge(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who, link = person(), await ask(app)
    refuse(tenant, who, CHALLENGE, times=4)
    await sign_in(app, visitor, link, who)

    assert "new" == end_of(await sign_in(app, visitor, link, who))

    assert '"nbf"' in (tenant.events("code issued")[-1].get("claims") or "")


@pytest.mark.parametrize("failure", REFUSALS)
async def test_probe_believes_two_refusals(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, clock: MovedClock, failure: str
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    refuse(tenant, who, failure, times=1)
    clock.forward(days=7, minutes=1)
    await tick(app)
    assert CONNECTED == await state_of(app, account)

    refuse(tenant, who, failure, times=2)
    clock.forward(days=7, minutes=1)
    await tick(app)
    assert (AccountState.CONNECT_ERROR, REFUSALS[failure]) == await state_of(app, account)

    clock.forward(days=1, minutes=1)
    await tick(app)
    assert CONNECTED == await state_of(app, account)


async def test_repair_link_carries_the_claims_that_a_probe_met(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    refuse(tenant, who, CHALLENGE, times=2)
    assert "mailbox_claims_challenge" == getattr((await reconnect_account(app, account)).failed, "code", None)

    link = await reauthorize_account(app, account, REDIRECT_URL, {}, ADMINISTRATOR)
    assert "existing" == end_of(await sign_in(app, visitor, link, who))

    assert '"nbf"' in (tenant.events("code issued")[-1].get("claims") or "")
    assert CONNECTED == await state_of(app, account)
