"""Grants for IMAP, POP and SMTP: proven by a login, and handed out beside those for Graph."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from infra.local.environment import APP_ID, Environment
from infra.local.visitor import Visitor
from shared.domain.clouds import Resource
from shared.domain.errors import NotAuthorized
from shared.ports import App
from shared.usecases.tokens.hand_out import hand_out
from tests.conftest import MovedClock
from tests.journey.conftest import (
    Tenant,
    ask,
    bind,
    code_of,
    graph_opens,
    imap_opens,
    principal_id,
    status,
    tick,
    xoauth2_of,
)

type NewPerson = Callable[..., str]
type Register = Callable[..., str]

SUPPORT = "support@contoso.example"
IMAP = "https://outlook.office.com/IMAP.AccessAsUser.All"
CLAIMS = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'


@pytest.fixture
def register(api: httpx.Client, environment: Environment) -> Iterator[Register]:
    """Registers the tenant's app again with other base scopes, until the test ends."""
    ready, ids = environment.tenant.ready, []

    def new(*base: str) -> str:
        body = {
            "name": "Mail",
            "provider": "outlook",
            "enabled": True,
            "clientId": ready["clientId"],
            "clientSecret": ready["clientSecret"],
            "authority": ready["tenantId"],
        }
        answer = api.post("/v1/oauth2", json={**body, "baseScopes": list(base)})
        assert 200 == answer.status_code, answer.text
        ids.append(answer.json()["id"])
        return str(ids[-1])

    yield new
    for app in ids:
        api.delete(f"/v1/oauth2/{app}", params={"force": "true"})


@pytest.fixture
def mail(register: Register) -> str:
    """An app with the base scopes `imap`."""
    return register("imap")


def give_both(api: httpx.Client, app: str, *more: str) -> None:
    """The scopes that the app's base scopes lack; the base scopes stay unchanged."""
    answer = api.put(f"/v1/oauth2/{app}", json={"extraScopes": ["Mail.ReadWrite.Shared", "User.Read", IMAP, *more]})
    assert 200 == answer.status_code, answer.text


def events_of(tenant: Tenant, what: str, who: str) -> list[dict[str, Any]]:
    return [event for event in tenant.events(what) if event.get("person") == who]


def state_of(api: httpx.Client, account: str) -> tuple[str, str | None]:
    found = api.get(f"/v1/account/{account}").json()
    return found["state"], (found["lastError"] or {}).get("code")


def test_shared_mailbox_is_bound_after_an_imap_login(
    api: httpx.Client, mail: str, visitor: Visitor, person: NewPerson, environment: Environment, tenant: Tenant
) -> None:
    who = person()
    account = bind(api, visitor, who, type=mail)

    assert [SUPPORT] == [event["mailbox"] for event in events_of(tenant, "imap login", who)]
    assert ["EXAMINE"] == [event["how"] for event in tenant.events("imap opened")]
    assert [] == events_of(tenant, "graph called", who)
    plain = api.get(f"/v1/account/{account}/oauth-token").json()
    assert ("outlook", who, SUPPORT) == (plain["resource"], plain["user"], plain["email"])
    assert "sasl" not in plain
    assert {"IMAP.AccessAsUser.All", "POP.AccessAsUser.All", "SMTP.Send"} <= {
        scope.rpartition("/")[2] for scope in plain["registeredScopes"]
    }
    assert imap_opens(environment, xoauth2_of(SUPPORT, plain["accessToken"]))


def test_hand_out_has_a_sasl_response_for_the_local_server(
    api: httpx.Client, mail: str, visitor: Visitor, person: NewPerson, environment: Environment
) -> None:
    who = person()
    token = api.get(f"/v1/account/{bind(api, visitor, who, type=mail)}/oauth-token", params={"sasl": "true"}).json()

    host, _, port = environment.tenant.ready["imapServer"].rpartition(":")
    xoauth2 = token["sasl"]["imap"].pop("xoauth2")
    local = {"host": host, "port": int(port), "security": "tls", "user": SUPPORT}
    assert {"imap": local} == token["sasl"]
    assert imap_opens(environment, base64.b64decode(xoauth2))


def test_page_says_what_is_granted(api: httpx.Client, mail: str, visitor: Visitor, register: Register) -> None:
    give_both(api, both := register("api"), "Calendars.Read.Shared")
    told = [visitor.open(ask(api, type=app)["url"]).text for app in (mail, APP_ID, both)]

    assert [True, False, True] == ["IMAP" in one for one in told]
    assert [True, True, True] == ["every mailbox that you may open, your own included" in one for one in told]
    assert [1, 1, 2] == [one.count("your own included") for one in told]
    assert [False, False, True] == ["do what Microsoft calls Calendars.Read.Shared" in one for one in told]


def test_without_full_access_nothing_is_bound(
    api: httpx.Client, mail: str, visitor: Visitor, person: NewPerson
) -> None:
    asked = ask(api, type=mail)

    page = visitor.follow(asked["url"], person(access=False))

    assert (403, "no_mailbox_access") == (page.status, code_of(page))
    assert 404 == api.get(f"/v1/account/{asked['account']}").status_code


@pytest.mark.parametrize(("action", "body"), [("throttle", {}), ("outage", {"mode": "503"})])
async def test_imap_outage_needs_no_second_sign_in(
    api: httpx.Client,
    mail: str,
    visitor: Visitor,
    person: NewPerson,
    tenant: Tenant,
    instance: App,
    clock: MovedClock,
    action: str,
    body: dict[str, Any],
) -> None:
    asked = ask(api, type=mail)
    tenant.do(action, endpoint="imap", **body)

    assert 202 == visitor.follow(asked["url"], person()).status
    if action == "outage":
        tenant.do("outage", endpoint="imap", mode="none")
    clock.forward(minutes=2)
    await tick(instance)

    assert "completed" == status(api, asked)["status"]
    assert ("connected", None) == state_of(api, asked["account"])


def test_ones_own_mailbox_is_bound_too_and_no_other(
    api: httpx.Client, mail: str, visitor: Visitor, other_visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who, other = person(), person()

    bind(api, visitor, who, email=None, delegated=False, type=mail)
    page = other_visitor.follow(ask(api, type=mail, email=who, delegated=False)["url"], other)

    assert [who] == [event["mailbox"] for event in events_of(tenant, "imap login", who)]
    assert "email_mismatch" == code_of(page)


async def test_lost_and_regained_access_are_noticed(
    api: httpx.Client,
    mail: str,
    visitor: Visitor,
    person: NewPerson,
    tenant: Tenant,
    instance: App,
    clock: MovedClock,
) -> None:
    who = person()
    account = bind(api, visitor, who, type=mail)

    tenant.do("access", person=who, mailbox=SUPPORT, fullAccess=False)
    clock.forward(days=7, minutes=1)
    await tick(instance)
    assert ("connectError", "no_mailbox_access") == state_of(api, account)

    tenant.do("outage", endpoint="imap", mode="503")
    clock.forward(days=1, minutes=1)
    await tick(instance)
    assert ("connectError", "no_mailbox_access") == state_of(api, account)

    tenant.do("outage", endpoint="imap", mode="none")
    tenant.do("access", person=who, mailbox=SUPPORT, fullAccess=True)
    assert "connected" == api.put(f"/v1/account/{account}/reconnect").json()["state"]


def test_uncovered_resource_is_a_wrong_field(
    api: httpx.Client, mail: str, visitor: Visitor, other_visitor: Visitor, person: NewPerson
) -> None:
    by_mail, by_graph = bind(api, visitor, person(), type=mail), bind(api, other_visitor, person(), type=APP_ID)

    for account, asked, wrong in (
        (by_mail, {"resource": "graph"}, "resource"),
        (by_graph, {"resource": "outlook"}, "resource"),
        (by_graph, {"sasl": "true"}, "resource"),
        (by_graph, {"sasl": "true", "resource": "graph"}, "sasl"),
        (by_graph, {"resource": "calendar"}, "resource"),
    ):
        answer = api.get(f"/v1/account/{account}/oauth-token", params=asked)
        assert (400, [wrong]) == (answer.status_code, [field["key"] for field in answer.json()["fields"]]), asked


@pytest.mark.parametrize("first", [("api", "imap"), ("api",), ("imap",)])
async def test_one_grant_gives_tokens_for_both_resources(
    api: httpx.Client,
    visitor: Visitor,
    person: NewPerson,
    environment: Environment,
    register: Register,
    instance: App,
    clock: MovedClock,
    first: tuple[str, ...],
) -> None:
    """Whether the person signed in for both resources, or the app got the second one later."""
    app = register(*first)
    account = bind(api, visitor, person(), type=app)
    give_both(api, app)

    graph, outlook = [await hand_out(instance, account, resource) for resource in Resource]
    assert graph_opens(environment, graph.access_token.reveal(), SUPPORT)
    assert imap_opens(environment, xoauth2_of(SUPPORT, outlook.access_token.reveal()))
    assert ("api" in first, "api" not in first) == (graph.cached, outlook.cached)
    assert [True, True] == [(await hand_out(instance, account, resource)).cached for resource in Resource]
    assert not {scope.rpartition("/")[2] for scope in graph.scopes} & {"IMAP.AccessAsUser.All", "SMTP.Send"}

    clock.forward(minutes=66)
    for _ in range(3):
        await tick(instance)
        clock.forward(seconds=16)
    renewed = [await hand_out(instance, account, resource) for resource in Resource]
    assert [True, True] == [token.cached for token in renewed]
    assert not {graph.access_token, outlook.access_token} & {token.access_token for token in renewed}
    assert graph_opens(environment, renewed[0].access_token.reveal(), SUPPORT)


async def test_missing_consent_for_one_resource_leaves_the_other(
    api: httpx.Client,
    visitor: Visitor,
    person: NewPerson,
    register: Register,
    tenant: Tenant,
    instance: App,
    clock: MovedClock,
) -> None:
    who, app = person(), register("api")
    account = bind(api, visitor, who, type=app)
    give_both(api, app)
    graph = ("Mail.ReadWrite.Shared", "Mail.Send.Shared", "User.Read")
    tenant.do("person", upn=who, consented=[f"https://graph.microsoft.com/{name}" for name in graph])

    for _ in range(2):
        with pytest.raises(NotAuthorized) as refused:
            await hand_out(instance, account, Resource.OUTLOOK)
        assert "needs_consent" == refused.value.code
    assert 2 == len(events_of(tenant, "refreshed", who)) + len(events_of(tenant, "failed", who))
    assert ("connected", None) == state_of(api, account)
    assert (await hand_out(instance, account)).cached

    tenant.do("person", upn=who, consented=True)
    clock.forward(minutes=16)
    assert not (await hand_out(instance, account, Resource.OUTLOOK)).cached


def test_claims_challenge_ignores_the_cached_token(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    account = bind(api, visitor, who)
    path = f"/v1/account/{account}/oauth-token"
    first = api.get(path).json()

    answer = api.post(path, json={"claims": base64.urlsafe_b64encode(CLAIMS.encode()).decode().rstrip("=")})

    assert 200 == answer.status_code, answer.text
    assert (False, set(first)) == (answer.json()["cached"], set(answer.json()))
    assert first["accessToken"] != answer.json()["accessToken"] == api.get(path).json()["accessToken"]
    assert [json.loads(CLAIMS)] == [json.loads(e["claims"]) for e in events_of(tenant, "refreshed", who) if e["claims"]]
    assert 200 == api.post(path, json={"claims": CLAIMS}).status_code
    again = api.post(path, json={"claims": CLAIMS})
    assert (429, "TooManyRequests") == (again.status_code, again.json()["code"])
    assert 0 < int(again.headers["retry-after"]) <= 30


async def test_claims_that_need_a_sign_in_stop_no_other_caller(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant, instance: App, clock: MovedClock
) -> None:
    who = person()
    account = bind(api, visitor, who)
    tenant.do("fail", endpoint="token", failure="50076", times=1, person=who, grant="refresh_token")

    answer = api.post(f"/v1/account/{account}/oauth-token", json={"claims": CLAIMS})

    assert (403, "claims_challenge") == (answer.status_code, answer.json()["code"])
    assert "/reauthorize" in answer.json()["message"]
    assert ("connected", None) == state_of(api, account)
    clock.forward(hours=2)
    assert not (await hand_out(instance, account)).cached
    visitor.follow(ask(api, account=account)["url"], who)
    assert "capolids" in (events_of(tenant, "code issued", who)[-1]["claims"] or "")
    visitor.follow(ask(api, account=account)["url"], who)
    assert events_of(tenant, "code issued", who)[-1].get("claims") is None


async def test_claims_for_a_stopped_grant_are_not_kept(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant, instance: App
) -> None:
    who = person()
    account = bind(api, visitor, who)
    tenant.do("revoke", person=who)

    answer = api.post(f"/v1/account/{account}/oauth-token", json={"claims": CLAIMS})

    assert (403, "needs_sign_in") == (answer.status_code, answer.json()["code"])
    assert ("authenticationError", "needs_sign_in") == state_of(api, account)
    grant = await instance.stores.principals.grant(await principal_id(instance, account), APP_ID)
    assert grant is not None
    assert None is grant.value.claims
    visitor.follow(ask(api, account=account)["url"], who)
    assert ("connected", None) == state_of(api, account)


def test_claims_that_microsoft_rejects_are_a_wrong_field(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    account = bind(api, visitor, who)
    tenant.do("fail", endpoint="token", failure="9002313", times=1, person=who, grant="refresh_token")

    answer = api.post(f"/v1/account/{account}/oauth-token", json={"claims": CLAIMS})

    assert (400, ["claims"]) == (answer.status_code, [field["key"] for field in answer.json()["fields"]])
    assert ("connected", None) == state_of(api, account)


@pytest.mark.parametrize("claims", [None, "", "nothing", "[]", "{}", "{", 7, "e30", "x" * 9000, "[" * 8000])
def test_malformed_claims_are_a_wrong_field(api: httpx.Client, claims: Any) -> None:
    answer = api.post("/v1/account/whichever/oauth-token", json={"claims": claims, "resource": "tape"})

    assert 400 == answer.status_code
    assert {"claims", "resource"} == {field["key"] for field in answer.json()["fields"]}


async def test_unused_resource_is_not_renewed(
    api: httpx.Client,
    visitor: Visitor,
    person: NewPerson,
    register: Register,
    tenant: Tenant,
    instance: App,
    clock: MovedClock,
) -> None:
    who = person()
    account = bind(api, visitor, who, type=register("api", "imap"))
    await hand_out(instance, account, Resource.OUTLOOK)
    before = len(events_of(tenant, "refreshed", who))

    clock.forward(minutes=66)
    await tick(instance)
    await tick(instance)

    renewed = events_of(tenant, "refreshed", who)[before:]
    assert 1 == len(renewed)
    assert "IMAP.AccessAsUser.All" in renewed[0]["scope"]
