"""The storage requests of every route, as docs/costs.md lists them. `make costs` writes that table anew.

Each route is called as the host calls it, in a process that has served other accounts but not this one: its caller, its
OAuth app and the data key are known. The second call is the same one again, where it has the same result.
"""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Mapping
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from infra.local.environment import APP_ID
from infra.local.parts import ROOT
from infra.local.visitor import Page, Visitor
from shared.bootstrap import build
from shared.domain.caller import Scope
from shared.ports import App
from shared.usecases.callers.api_tokens import TokenWish, issue_token
from shared.usecases.callers.identify import ADMINISTRATOR
from tests.app_routes import operations
from tests.environments import Surroundings, trust
from tests.events.conftest import Receiver
from tests.journey.apps import GOOD
from tests.journey.conftest import Tenant
from tests.journey.counted_routes import CONFINED, FAILED_SIGN_IN, Counted, People, Row
from tests.usecases.conftest import BOARD, SALES, SUPPORT, choose_person
from tests.usecases.grants import CLAIMS

PAGE = ROOT / "docs/costs.md"
WRITES = "MAILBIND_WRITE_COSTS" in os.environ
HEAD = "| route | requests | round trips | again | round trips |\n|---|---|---|---|---|\n"
TABLE = re.compile(re.escape(HEAD) + r"(?:\|.*\n)+")
ALL_SCOPES = frozenset(Scope)
MAX_REQUESTS_OF_A_FORM, MAX_ROUND_TRIPS_OF_A_FORM = 5, 3
CHANGES = {"MAILBIND_OAUTH_CREDENTIAL_REUSE": "true"}


@pytest.fixture
async def people(surroundings: Surroundings) -> AsyncIterator[People]:
    ready = surroundings.tenant.ready
    app = build({**surroundings.settings, **CHANGES})
    with (
        Visitor(ready["caFile"]) as visitor,
        httpx.Client(base_url=ready["controlUrl"] + "/", verify=trust(ready["caFile"]), timeout=30) as client,
    ):
        yield People(app, visitor, Tenant(client))
    await app.close()


@pytest.fixture
async def counted(
    surroundings: Surroundings, people: People, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Counted]:
    built = list[App]()

    def keeping_build(values: Mapping[str, str]) -> App:
        built.append(build(values))
        return built[-1]

    monkeypatch.setattr("shared.bootstrap.build", keeping_build)
    token = (await issue_token(people.app, TokenWish("costs", ALL_SCOPES), {}, ADMINISTRATOR)).token
    yield Counted({**surroundings.settings, **CHANGES}, token)
    for app in built:
        await app.close()


async def test_costs_page_lists_the_requests_of_every_route(
    counted: Counted, people: People, receiver: Receiver
) -> None:
    await warm(counted, people)
    for count in (
        count_links,
        count_accounts,
        count_mail,
        count_reading,
        count_lists,
        count_changing,
        count_sending,
        count_configuration,
        count_pages,
    ):
        await count(counted, people)
    await count_webhooks(counted, receiver)
    rows = [f"| `{route.replace(' ', ' /')}` | {row} |\n" for route, row in sorted(counted.rows.items(), key=by_path)]
    table = HEAD + "".join(rows)
    if WRITES:
        PAGE.write_text(TABLE.sub(lambda _: table, PAGE.read_text()))

    assert counted_routes() == {route for route in counted.rows if "v1.0" not in route}
    form_for_a_new_account = counted.rows["POST v1/authentication/form"].first
    assert form_for_a_new_account.count <= MAX_REQUESTS_OF_A_FORM
    assert form_for_a_new_account.round_trips <= MAX_ROUND_TRIPS_OF_A_FORM
    listed = TABLE.search(PAGE.read_text())
    assert listed is not None
    assert table == listed[0], "the requests of a route have changed; if that is intended: make costs"


def by_path(row: tuple[str, Row]) -> tuple[str, str]:
    method, _, path = row[0].partition(" ")
    return path, method


def counted_routes() -> set[str]:
    """All that callers and browsers are told of, but for Graph's own routes, which are one function."""
    return {route for route in operations() if not route.endswith(CONFINED)}


async def warm(counted: Counted, people: People) -> None:
    """Have the process know its caller, its OAuth app and its data keys, and every table exist."""
    account = await people.bound(mailbox=SALES)
    await counted.call("GET v1/account/{account}/oauth-token", account=account)
    await counted.call("POST v1/authentication/form", form(f"warm-{account}"))
    await counted.call(f"GET {CONFINED}", path=f"users/{account}/messages")
    await counted.call("GET v1/webhooks")
    await counted.call("GET v1/settings")


def form(account: str) -> Mapping[str, object]:
    return {"account": account, "email": SUPPORT, "delegated": True, "redirectUrl": "https://myapp.example/done"}


async def count_links(counted: Counted, people: People) -> None:
    """A link, from the form to the end of its sign-in, one that fails, and one that is cancelled."""
    asked = json.loads((await counted.twice("POST v1/authentication/form", form("new"))).get_body())
    cookie, fields = await open_link(counted, asked["url"])
    answer = await counted.once("POST accounts/new", urlencode(fields), cookie=cookie)
    picker = await asyncio.to_thread(people.visitor.open, answer.headers["Location"])
    back = await choose_person(people.visitor, picker, people.new())
    await counted.once("POST oauth", urlencode(back), cookie=cookie)
    registration = asked["registration"]
    await counted.twice("GET v1/authentication/form/{registration}", registration=registration)
    await counted.twice(
        "POST v1/account/{account}/reauthorize", {"redirectUrl": "https://myapp.example"}, account="new"
    )
    asked = json.loads((await counted.call("POST v1/authentication/form", form("other")))[0].get_body())
    cookie, fields = await open_link(counted, asked["url"])
    answer, _ = await counted.call("POST accounts/new", urlencode(fields), cookie=cookie)
    (state,) = parse_qs(urlsplit(answer.headers["Location"]).query)["state"]
    await counted.once(FAILED_SIGN_IN, "", query=urlencode({"error": "access_denied", "state": state}), cookie=cookie)
    await counted.once("DELETE v1/authentication/form/{registration}", registration=asked["registration"])


async def open_link(counted: Counted, url: str) -> tuple[str, Mapping[str, str]]:
    """Open a link as a browser does. Returns the browser's cookie, and the form of *Continue*."""
    answer = await counted.once("GET accounts/new", "", query=urlsplit(url).query)
    page = Page(httpx.Response(200, content=answer.get_body(), request=httpx.Request("GET", url)))
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    return cookie, page.form_with("confirmation").fields


async def count_accounts(counted: Counted, people: People) -> None:
    await counted.twice("GET v1/accounts")
    await counted.twice("GET v1/account/{account}", account=await people.bound())
    await counted.twice("PUT v1/account/{account}", {"name": "Support"}, account=await people.bound())
    await counted.once("DELETE v1/account/{account}", account=await people.bound())
    await counted.twice("PUT v1/account/{account}/reconnect", {"reconnect": True}, account=await people.bound())
    await counted.twice("GET v1/account/{account}/oauth-token", account=await people.bound())
    claims = {"claims": CLAIMS}
    await counted.twice("POST v1/account/{account}/oauth-token", claims, account=await people.bound())
    auth = {"delegatedUser": SALES, "delegatedAccount": await people.bound()}
    further = {"account": "further", "name": "Sales", "oauth2": {"provider": APP_ID, "auth": auth}}
    await counted.once("POST v1/account", further)


async def count_mail(counted: Counted, people: People) -> None:
    """Confined access to a mailbox by its address, and in a batch by its account."""
    await people.bound(mailbox=BOARD)
    await counted.twice(f"GET {CONFINED}", name="GET v1.0/users/{mailbox}/messages", path=f"users/{BOARD}/messages")
    batch = {"requests": [{"id": "1", "method": "GET", "url": f"/users/{await people.bound()}/messages"}]}
    await counted.twice(f"POST {CONFINED}", batch, name="POST v1.0/$batch", path="$batch")


async def count_reading(counted: Counted, people: People) -> None:
    """A message of its own for each, in an account of its own."""
    message, attachment = people.delivered()
    for route, parameters in {
        "message/{message}": {"message": message},
        "text/{text}": {"text": message},
        "message/{message}/source": {"message": message},
        "attachment/{attachment}": {"attachment": attachment},
    }.items():
        await counted.twice(f"GET v1/account/{{account}}/{route}", account=await people.bound(), **parameters)


async def count_changing(counted: Counted, people: People) -> None:
    message, _ = people.delivered()
    route = "v1/account/{account}/message/{message}"
    labels = {"labels": {"add": ["Red"]}}
    await counted.twice(f"PUT {route}", labels, account=await people.bound(), message=message)
    await counted.twice(f"PUT {route}/move", {"path": "Archive"}, account=await people.bound(), message=message)
    await counted.twice(f"DELETE {route}", account=await people.bound(), message=message)
    await counted.twice("POST v1/account/{account}/message", {"subject": "a"}, account=await people.bound())
    messages, by_id = "PUT v1/account/{account}/messages", {"search": {"emailIds": [people.delivered()[0]]}}
    await counted.twice(messages, by_id | {"update": labels}, account=await people.bound())
    await counted.twice(f"{messages}/move", by_id | {"path": "Archive"}, account=await people.bound())
    await counted.twice(f"{messages}/delete", by_id, account=await people.bound())


async def count_lists(counted: Counted, people: People) -> None:
    """Folders, messages and a search, each in an account of its own."""
    await counted.twice("GET v1/account/{account}/mailboxes", account=await people.bound())
    await counted.twice("GET v1/account/{account}/messages", account=await people.bound(), query="path=INBOX")
    search = {"search": {"unseen": True}}
    await counted.twice("POST v1/account/{account}/search", search, account=await people.bound(), query="path=INBOX")


async def count_sending(counted: Counted, people: People) -> None:
    message = {"to": [{"address": "customer@elsewhere.example"}], "subject": "Sent", "text": "Hello"}
    await counted.twice("POST v1/account/{account}/submit", message, account=await people.bound())
    account = await people.bound()
    draft, _ = await counted.call("POST v1/account/{account}/message", message, account=account)
    route = "POST v1/account/{account}/message/{message}/submit"
    await counted.once(route, {}, account=account, message=json.loads(draft.get_body())["id"])


async def count_configuration(counted: Counted, _people: People) -> None:
    made = json.loads((await counted.once("POST v1/oauth2", GOOD)).get_body())["id"]
    await counted.twice("GET v1/oauth2")
    await counted.twice("GET v1/oauth2/{app}", app=made)
    await counted.once("PUT v1/oauth2/{app}", {"name": "Archive"}, app=made)
    await counted.once("DELETE v1/oauth2/{app}", app=made)
    await counted.twice("POST v1/oauth2/{app}/verify", {}, app=APP_ID)
    issued = json.loads(
        (await counted.once("POST v1/token", {"description": "one", "scopes": ["register"]})).get_body()
    )
    await counted.twice("GET v1/tokens")
    await counted.once("DELETE v1/token/{token}", token=issued["id"])
    await counted.twice("GET v1/stats")


async def count_pages(counted: Counted, _people: People) -> None:
    for page in ("health", "", "docs", "openapi.json", "swagger.json"):
        await counted.twice(f"GET {page}")


async def count_webhooks(counted: Counted, receiver: Receiver) -> None:
    made = json.loads((await counted.once("POST v1/webhooks", {"url": receiver.url("takes/one")})).get_body())["id"]
    await counted.twice("GET v1/webhooks")
    await counted.twice("GET v1/webhooks/{webhook}", webhook=made)
    await counted.twice("POST v1/webhooks/{webhook}/ping", webhook=made)
    await counted.twice("POST v1/webhooks/{webhook}/redeliver", webhook=made)
    await counted.once("DELETE v1/webhooks/{webhook}", webhook=made)
    target = {"webhooks": receiver.url("takes/global"), "webhooksEnabled": True}
    await counted.once("POST v1/settings", target)
    await counted.twice("GET v1/settings")
