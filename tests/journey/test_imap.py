"""Promises of grants for IMAP, POP and SMTP: proven by a login, and handed out beside those for Graph."""

import base64
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from infra.local import parts
from infra.local.environment import Environment, start_host
from infra.local.visitor import Visitor
from shared.bootstrap import build_services
from shared.domain.clouds import Resource
from shared.domain.errors import NotAuthorized
from shared.services import Services
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

SUPPORT = "support@contoso.example"
# Its own app, so that nothing that happens to its grants is about others'.
APP = "AAABimapT7XUAAAA"
CLAIMS = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'


@pytest.fixture(scope="module")
def mail_settings(environment: Environment) -> dict[str, str]:
    return {**environment.settings, "MAILBIND_OAUTH_APP_ID": APP, "MAILBIND_OAUTH_BASE_SCOPES": "imap"}


@pytest.fixture(scope="module")
def mail_api(
    environment: Environment, mail_settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """The app with the base scopes `imap`, on the same storage and tenant."""
    headers = {"Authorization": f"Bearer {environment.secrets.admin_token}"}
    with socket.create_server(("127.0.0.1", 0)) as listening:
        settings = {**mail_settings, "MAILBIND_BASE_URL": f"http://127.0.0.1:{listening.getsockname()[1]}"}
        host = start_host(parts.ROOT, listening, settings, tmp_path_factory.mktemp("imap"))
    base_url = settings["MAILBIND_BASE_URL"]
    with parts.running(host), httpx.Client(base_url=base_url, headers=headers, timeout=30) as client:
        yield client


@pytest.fixture
async def mail(mail_settings: dict[str, str], clock: MovedClock) -> AsyncIterator[Services]:
    built = build_services(mail_settings, clock)
    yield built
    await built.close()


@pytest.fixture
async def both(environment: Environment, clock: MovedClock) -> AsyncIterator[Services]:
    """An instance of the app on the shared environment, which has been given both base scopes."""
    built = build_services({**environment.settings, "MAILBIND_OAUTH_BASE_SCOPES": "api,imap"}, clock)
    yield built
    await built.close()


def events_of(tenant: Tenant, what: str, who: str) -> list[dict[str, Any]]:
    return [event for event in tenant.events(what) if event.get("person") == who]


def state_of(api: httpx.Client, account: str) -> tuple[str, str | None]:
    found = api.get(f"/v1/account/{account}").json()
    return found["state"], (found["lastError"] or {}).get("code")


def test_a_shared_mailbox_is_bound_by_logging_in_to_it(
    mail_api: httpx.Client, visitor: Visitor, person: NewPerson, environment: Environment, tenant: Tenant
) -> None:
    who = person()
    account = bind(mail_api, visitor, who)

    assert [SUPPORT] == [event["mailbox"] for event in events_of(tenant, "imap login", who)]
    assert ["EXAMINE"] == [event["how"] for event in tenant.events("imap opened")]
    assert [] == events_of(tenant, "graph called", who)
    plain = mail_api.get(f"/v1/account/{account}/oauth-token").json()
    assert ("outlook", who, SUPPORT) == (plain["resource"], plain["user"], plain["email"])
    assert "sasl" not in plain
    assert {"IMAP.AccessAsUser.All", "POP.AccessAsUser.All", "SMTP.Send"} <= {
        scope.rpartition("/")[2] for scope in plain["registeredScopes"]
    }
    assert imap_opens(environment, xoauth2_of(SUPPORT, plain["accessToken"]))


def test_the_answer_carries_a_ready_response_with_the_right_user_for_each_protocol(
    mail_api: httpx.Client, visitor: Visitor, person: NewPerson, environment: Environment
) -> None:
    who = person()
    token = mail_api.get(f"/v1/account/{bind(mail_api, visitor, who)}/oauth-token", params={"sasl": "true"}).json()

    sasl = token["sasl"]
    host, _, port = environment.tenant.ready["imapServer"].rpartition(":")
    assert {
        "imap": (host, int(port), "tls", SUPPORT),
        "pop": ("outlook.office365.com", 995, "tls", SUPPORT),
        "smtp": ("smtp.office365.com", 587, "starttls", who),
    } == {name: tuple(one[key] for key in ("host", "port", "security", "user")) for name, one in sasl.items()}
    assert xoauth2_of(who, token["accessToken"]) == base64.b64decode(sasl["smtp"]["xoauth2"])
    assert imap_opens(environment, base64.b64decode(sasl["imap"]["xoauth2"]))


def test_the_page_says_what_is_granted(mail_api: httpx.Client, api: httpx.Client, visitor: Visitor) -> None:
    by_mail, by_graph = (visitor.open(ask(each)["url"]).text for each in (mail_api, api))

    assert "IMAP" in by_mail
    assert "IMAP" not in by_graph


def test_without_full_access_nothing_is_bound(mail_api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    asked = ask(mail_api)

    page = visitor.follow(asked["url"], person(access=False))

    assert (403, "no_mailbox_access") == (page.status, code_of(page))
    assert 404 == mail_api.get(f"/v1/account/{asked['account']}").status_code


@pytest.mark.parametrize(("action", "body"), [("throttle", {}), ("outage", {"mode": "503"})])
async def test_an_unwell_server_costs_nobody_a_second_sign_in(
    mail_api: httpx.Client,
    visitor: Visitor,
    person: NewPerson,
    tenant: Tenant,
    mail: Services,
    clock: MovedClock,
    action: str,
    body: dict[str, Any],
) -> None:
    asked = ask(mail_api)
    tenant.do(action, endpoint="imap", **body)

    assert 202 == visitor.follow(asked["url"], person()).status
    if action == "outage":
        tenant.do("outage", endpoint="imap", mode="none")
    clock.forward(minutes=2)
    await tick(mail)

    assert "completed" == status(mail_api, asked)["status"]
    assert ("connected", None) == state_of(mail_api, asked["account"])


def test_ones_own_mailbox_is_bound_too_and_no_other(
    mail_api: httpx.Client, visitor: Visitor, other_visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who, other = person(), person()

    bind(mail_api, visitor, who, email=None, delegated=False)
    page = other_visitor.follow(ask(mail_api, email=who, delegated=False)["url"], other)

    assert [who] == [event["mailbox"] for event in events_of(tenant, "imap login", who)]
    assert "email_mismatch" == code_of(page)


async def test_access_that_is_taken_away_is_noticed_and_so_is_access_given_back(
    mail_api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant, mail: Services, clock: MovedClock
) -> None:
    who = person()
    account = bind(mail_api, visitor, who)

    tenant.do("access", person=who, mailbox=SUPPORT, fullAccess=False)
    clock.forward(days=7, minutes=1)
    await tick(mail)
    assert ("connectError", "no_mailbox_access") == state_of(mail_api, account)

    tenant.do("outage", endpoint="imap", mode="503")
    clock.forward(days=1, minutes=1)
    await tick(mail)
    assert ("connectError", "no_mailbox_access") == state_of(mail_api, account)

    tenant.do("outage", endpoint="imap", mode="none")
    tenant.do("access", person=who, mailbox=SUPPORT, fullAccess=True)
    assert "connected" == mail_api.put(f"/v1/account/{account}/reconnect").json()["state"]


def test_what_the_app_does_not_cover_is_a_wrong_field(
    mail_api: httpx.Client, api: httpx.Client, visitor: Visitor, other_visitor: Visitor, person: NewPerson
) -> None:
    by_mail, by_graph = bind(mail_api, visitor, person()), bind(api, other_visitor, person())

    for client, account, asked, wrong in (
        (mail_api, by_mail, {"resource": "graph"}, "resource"),
        (api, by_graph, {"resource": "outlook"}, "resource"),
        (api, by_graph, {"sasl": "true"}, "resource"),
        (api, by_graph, {"sasl": "true", "resource": "graph"}, "sasl"),
        (api, by_graph, {"resource": "calendar"}, "resource"),
    ):
        answer = client.get(f"/v1/account/{account}/oauth-token", params=asked)
        assert (400, [wrong]) == (answer.status_code, [field["key"] for field in answer.json()["fields"]]), asked


async def test_one_grant_gives_tokens_for_both_resources(
    api: httpx.Client,
    visitor: Visitor,
    person: NewPerson,
    environment: Environment,
    both: Services,
    clock: MovedClock,
) -> None:
    account = bind(api, visitor, person())  # under `api` alone; the app was given `imap` later

    graph, outlook = await both.hand_out(account), await both.hand_out(account, Resource.OUTLOOK)
    assert graph_opens(environment, graph.access_token.reveal(), SUPPORT)
    assert imap_opens(environment, xoauth2_of(SUPPORT, outlook.access_token.reveal()))
    assert (True, False) == (graph.cached, outlook.cached)
    assert (await both.hand_out(account, Resource.OUTLOOK)).cached
    assert not {scope.rpartition("/")[2] for scope in graph.scopes} & {"IMAP.AccessAsUser.All", "SMTP.Send"}

    clock.forward(minutes=66)
    for _ in range(3):
        await tick(both)
        clock.forward(seconds=16)
    renewed = [await both.hand_out(account, resource) for resource in Resource]
    assert [True, True] == [token.cached for token in renewed]
    assert not {graph.access_token, outlook.access_token} & {token.access_token for token in renewed}
    assert graph_opens(environment, renewed[0].access_token.reveal(), SUPPORT)


async def test_a_consent_that_lacks_for_one_resource_does_not_stop_the_other(
    api: httpx.Client, visitor: Visitor, person: NewPerson, both: Services, tenant: Tenant, clock: MovedClock
) -> None:
    who = person()
    account = bind(api, visitor, who)
    graph = ("Mail.ReadWrite.Shared", "Mail.Send.Shared", "User.Read")
    tenant.do("person", upn=who, consented=[f"https://graph.microsoft.com/{name}" for name in graph])

    for _ in range(2):
        with pytest.raises(NotAuthorized) as refused:
            await both.hand_out(account, Resource.OUTLOOK)
        assert "needs_consent" == refused.value.code
    assert 2 == len(events_of(tenant, "refreshed", who)) + len(events_of(tenant, "failed", who))
    assert ("connected", None) == state_of(api, account)
    assert (await both.hand_out(account)).cached

    tenant.do("person", upn=who, consented=True)
    clock.forward(minutes=16)
    assert not (await both.hand_out(account, Resource.OUTLOOK)).cached


def test_claims_of_a_challenge_are_met_past_the_token_that_is_there(
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
    again = api.post(path, json={"claims": CLAIMS})
    assert (429, "TooManyRequests") == (again.status_code, again.json()["code"])
    assert 0 < int(again.headers["retry-after"]) <= 30


async def test_claims_that_ask_for_a_person_wait_for_the_next_sign_in_and_stop_nobody_else(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant, instance: Services, clock: MovedClock
) -> None:
    who = person()
    account = bind(api, visitor, who)
    tenant.do("fail", endpoint="token", failure="50076", times=1, person=who, grant="refresh_token")

    answer = api.post(f"/v1/account/{account}/oauth-token", json={"claims": CLAIMS})

    assert (403, "claims_challenge") == (answer.status_code, answer.json()["code"])
    assert "/reauthorize" in answer.json()["message"]
    assert ("connected", None) == state_of(api, account)
    clock.forward(hours=2)
    assert not (await instance.hand_out(account)).cached
    visitor.follow(ask(api, account=account)["url"], who)
    assert "capolids" in (events_of(tenant, "code issued", who)[-1]["claims"] or "")
    visitor.follow(ask(api, account=account)["url"], who)
    assert events_of(tenant, "code issued", who)[-1].get("claims") is None


async def test_claims_of_a_grant_that_is_dead_stop_it_and_go_along_with_the_repair(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant, instance: Services
) -> None:
    who = person()
    account = bind(api, visitor, who)
    tenant.do("revoke", person=who)

    answer = api.post(f"/v1/account/{account}/oauth-token", json={"claims": CLAIMS})

    assert (403, "claims_challenge") == (answer.status_code, answer.json()["code"])
    assert ("authenticationError", "claims_challenge") == state_of(api, account)
    grant = await instance.principals.grant(await principal_id(instance, account), "AAABiCtT7XUAAAAF")
    assert grant is not None
    assert json.loads(CLAIMS) == json.loads(grant.value.claims or "")
    visitor.follow(ask(api, account=account)["url"], who)
    assert ("connected", None) == state_of(api, account)


def test_claims_that_microsoft_does_not_understand_are_a_wrong_field(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    account = bind(api, visitor, who)
    tenant.do("fail", endpoint="token", failure="9002313", times=1, person=who, grant="refresh_token")

    answer = api.post(f"/v1/account/{account}/oauth-token", json={"claims": CLAIMS})

    assert (400, ["claims"]) == (answer.status_code, [field["key"] for field in answer.json()["fields"]])
    assert ("connected", None) == state_of(api, account)


@pytest.mark.parametrize("claims", [None, "", "nothing", "[]", "{}", "{", 7, "e30", "x" * 9000])
def test_malformed_claims_are_a_wrong_field(api: httpx.Client, claims: Any) -> None:
    answer = api.post("/v1/account/whichever/oauth-token", json={"claims": claims, "resource": "tape"})

    assert 400 == answer.status_code
    assert {"claims", "resource"} == {field["key"] for field in answer.json()["fields"]}


async def test_a_resource_that_was_never_asked_for_is_not_renewed(
    api: httpx.Client, visitor: Visitor, person: NewPerson, both: Services, clock: MovedClock, tenant: Tenant
) -> None:
    who = person()
    account = bind(api, visitor, who)
    await both.hand_out(account, Resource.OUTLOOK)
    before = len(events_of(tenant, "refreshed", who))

    clock.forward(minutes=66)
    await tick(both)
    await tick(both)

    renewed = events_of(tenant, "refreshed", who)[before:]
    assert 1 == len(renewed)
    assert "IMAP.AccessAsUser.All" in renewed[0]["scope"]
