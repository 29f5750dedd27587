"""Only the token endpoint opens and closes circuit breakers; responses from browsers never do."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import cycle
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from azure.core.exceptions import ResourceNotFoundError

from infra.local.environment import APP_ID, Environment
from infra.local.visitor import Form, Page, Visitor
from shared.bootstrap import build
from shared.domain.account import Principal
from shared.domain.caller import Caller, Scope
from shared.domain.entra_errors import ERROR_WORDS, RULES_BY_AADSTS_NUMBER
from shared.domain.oauth_app import CircuitBreaker
from shared.domain.secret import Secret
from shared.domain.sign_in_refusal import SignInRefusal
from shared.ports import App, EntraFailed, SignedIn, Stored
from shared.usecases.apps.circuit_breaker import refused_apps
from shared.usecases.sign_in.complete import complete_sign_in, finish_sign_in
from shared.usecases.sign_in.invitation import Invitation
from shared.usecases.sign_in.link import LinkPage, begin_sign_in, open_link
from shared.usecases.sign_in.outcome import Completed, Outcome, Refused, carry_grant
from shared.usecases.sign_in.start import start_registration
from tests.app_routes import http_functions
from tests.conftest import MovedClock, first_app, seen_breakers, storage_of, unguarded
from tests.journey.conftest import Tenant, ask, bind, code_of, status
from tests.journey.test_callback import to_the_callback
from tests.patience import wait_until

type NewPerson = Callable[..., str]

CALLER = Caller("administrator", "administrator", frozenset({Scope.ADMIN}))
NUMBERS = sorted(RULES_BY_AADSTS_NUMBER)
ERRORS = sorted({*ERROR_WORDS, "something_new"})
ATTACK = {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."}
STRANGERS: list[dict[str, str]] = [
    {},
    {"Authorization": "Bearer " + "0" * 64},
    {"Authorization": "Bearer x.y.z"},
    {"Authorization": "Basic YWRtaW46YWRtaW4="},
]


async def stored_breakers(instance: App) -> list[tuple[Any, str | None]]:
    """Every row of the table, with its version."""
    rows = storage_of(instance).get_table_client("Breakers").list_entities()
    try:
        return [(dict(row), row.metadata["etag"]) async for row in rows]
    except ResourceNotFoundError:  # nothing was ever written to it
        return []


def remembered_breakers(instance: App) -> dict[str, Stored[CircuitBreaker]]:
    """The breakers that this instance remembers, whenever it read them."""
    return {app: seen.breaker for app, seen in seen_breakers(instance).items() if seen.breaker is not None}


async def open_breaker(instance: App) -> Stored[CircuitBreaker]:
    """An open breaker, as a refusal of the token endpoint leaves it, known to this instance and with no trial due."""
    now = instance.clock()
    breaker = CircuitBreaker(APP_ID, "app_credential", now, now + timedelta(hours=1), 7000215)
    seen_breakers(instance).clear()
    stored = await instance.stores.breakers.insert(breaker)
    with pytest.raises(Exception, match="app_credential"):
        await instance.microsoft.entra.refresh(first_app(instance), Secret("none"))
    return stored


@dataclass
class Browser:
    """A browser that follows one link, in this process. It can start any number of sign-ins."""

    instance: App
    page: LinkPage

    async def returns(self, **answer: str) -> Outcome:
        """Start a sign-in, and return from Microsoft with this response and the right state and cookie."""
        asked = self.page.registration
        url = await begin_sign_in(self.instance, asked.id, self.page.confirmation, self.page.cookie, "")
        state = parse_qs(urlsplit(url.reveal()).query)["state"][0]
        return await complete_sign_in(self.instance, {"state": state, **answer}, self.page.cookie)


@pytest.fixture
async def browser(instance: App) -> Browser:
    return await opened_link(instance)


async def opened_link(app: App) -> Browser:
    invitation = Invitation("https://myapp.example/", None, email="support@contoso.example", delegated=True)
    started = await start_registration(app, invitation, {}, CALLER)
    page = await open_link(app, Secret(parse_qs(urlsplit(started.url.reveal()).query)["ticket"][0]), None)
    return Browser(app, page)


@pytest.fixture(params=["closed", "open"])
async def breaker(request: pytest.FixtureRequest, instance: App) -> str:
    if request.param == "open":
        await open_breaker(instance)
    return str(request.param)


@pytest.fixture(scope="module")
def routes() -> list[tuple[str, str]]:
    """Methods and paths of all routes that the app lists."""
    return sorted((method, "/" + one.template) for one in http_functions() for method in one.methods or ("PATCH",))


async def test_requests_without_a_token_change_no_breaker(
    environment: Environment,
    instance: App,
    routes: list[tuple[str, str]],
    api: httpx.Client,
    visitor: Visitor,
    person: NewPerson,
    tenant: Tenant,
    breaker: str,
) -> None:
    """Every route, as a stranger and with what a real browser holds; then the host still behaves as before."""
    # A grant is refreshed on demand at most twice a minute, so each check uses its own.
    first, last = (bind(api, visitor, person()) for _ in range(2))
    form = to_the_callback(visitor, ask(api)["url"], person())
    kinds = ("registration", "account", "app", "token", "webhook", "message", "text", "attachment", "*path")
    names = dict.fromkeys(kinds, APP_ID)

    def asks_entra(account: str) -> bool | None:
        """None if the grant's limit was exceeded."""
        refreshed = len(tenant.events("refreshed"))
        answer = api.put(f"/v1/account/{account}/reconnect", json={"reconnect": True})
        return None if answer.status_code == 429 else len(tenant.events("refreshed")) > refreshed

    # The host has read the row.
    await asyncio.to_thread(wait_until, lambda: asks_entra(first) is (breaker == "closed"))
    before = await stored_breakers(instance)

    with httpx.Client(base_url=environment.base_url, timeout=30) as client:
        for method, path in routes:
            for headers in STRANGERS:
                fields = {**ATTACK, "state": form.fields["state"]}
                url = f"{path.format(**names)}?{urlencode(fields)}"
                content = urlencode({**fields, "registration": form.fields["state"].partition(".")[0]})
                kind = {"Content-Type": "application/x-www-form-urlencoded"}
                body: dict[str, Any] = {"json": ATTACK} if path.startswith("/v1") else {"content": content}
                answer = client.request(method, url, headers=headers | ({} if "json" in body else kind), **body)
                assert answer.status_code < 500, (method, path, answer.text)
    for answer_of in ("POST", "GET"):
        for attack in (ATTACK, {"error": "interaction_required"}, {"error": "access_denied"}):
            form = to_the_callback(visitor, ask(api)["url"], person())
            told = {"state": form.fields["state"], **attack}
            url = f"{form.action}?{urlencode(told)}"
            page = visitor.submit(Form(form.action, told)) if answer_of == "POST" else visitor.open(url)
            assert code_of(page) in set(SignInRefusal)
    form = to_the_callback(visitor, ask(api)["url"], person())
    made_up = visitor.submit(Form(form.action, {**form.fields, "code": "made-up"}))

    assert "sign_in_unknown" == code_of(made_up)
    assert before == await stored_breakers(instance)
    assert (breaker == "closed") is asks_entra(last)


async def test_errors_from_a_browser_change_no_breaker(instance: App, browser: Browser, breaker: str) -> None:
    before, remembered = await stored_breakers(instance), remembered_breakers(instance)
    cases = [*zip(NUMBERS, cycle(ERRORS), strict=False), *((7000215, error) for error in ERRORS), (0, "invalid_client")]

    for number, error in cases:
        told = await browser.returns(error=error, error_description=f"AADSTS{number}: made up")
        assert isinstance(told, Refused)
        assert told.code in set(SignInRefusal), (number, error)

    assert before == await stored_breakers(instance)
    assert remembered == remembered_breakers(instance), breaker
    link = await instance.stores.registrations.get(browser.page.registration.id)
    assert link is not None
    assert link.value.failure in set(SignInRefusal)


@pytest.mark.parametrize("code", ["made-up", "x" * 3000, "\x00", "AADSTS7000215", "e30.e30.e30"])
async def test_forged_code_changes_no_breaker(instance: App, browser: Browser, breaker: str, code: str) -> None:
    before, remembered = await stored_breakers(instance), remembered_breakers(instance)

    told = await browser.returns(code=code)

    assert isinstance(told, Refused)
    assert told.code in {"sign_in_unknown", *SignInRefusal}
    assert before == await stored_breakers(instance)
    assert remembered == remembered_breakers(instance), breaker


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        ("9002313", "app_setup_suspected"),
        ("invalid_grant-9002313", "sign_in_unknown"),
        ("invalid_grant-70002-70008", "sign_in_unknown"),
        ("70000", "sign_in_unknown"),
        ("54005", "sign_in_unknown"),
        ("501481", "sign_in_unknown"),
        ("70008", "sign_in_unknown"),
        ("50020", "wrong_account"),
        ("interaction_required-90072", "wrong_account"),
        ("50053", "person_locked"),
        ("90033", "entra_unavailable"),
        ("700016", "app_setup_suspected"),
        ("http-503", "entra_unavailable"),
    ],
)
async def test_redeeming_a_code_changes_no_breaker(
    instance: App, browser: Browser, breaker: str, tenant: Tenant, failure: str, code: str
) -> None:
    before = await stored_breakers(instance)
    tenant.do("fail", endpoint="token", failure=failure, times=1, grant="authorization_code")

    told = await browser.returns(code="made-up")

    assert isinstance(told, Refused)
    assert code == told.code
    assert before == await stored_breakers(instance), breaker


async def test_app_refused_at_sign_in_is_only_logged(
    environment: Environment, clock: MovedClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The next refresh of a stored grant, or a verification, opens it."""
    wrong = build({**environment.settings, "MAILBIND_OAUTH_CLIENT_SECRET": "not-the-secret"}, clock)
    try:
        before = await stored_breakers(wrong)

        told = await (await opened_link(wrong)).returns(code="made-up")

        assert isinstance(told, Refused)
        assert "app_credential" == told.code
        assert before == await stored_breakers(wrong)
        assert [7000215] == [vars(line)["aadsts"] for line in caplog.records if line.message == "oauth app fault"]
        with pytest.raises(EntraFailed, match="app_credential"):
            await wrong.microsoft.entra.refresh(first_app(wrong), Secret("none"))
        (refused,) = await refused_apps(wrong)
        assert (APP_ID, 7000215) == (refused.app.id, refused.fault.aadsts)
        await wrong.microsoft.entra.close_breaker(first_app(wrong))
        assert [] == await refused_apps(wrong)
    finally:
        await wrong.close()


async def test_successful_sign_in_closes_no_breaker(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App
) -> None:
    """The trial request of the next minute closes it."""
    form = to_the_callback(visitor, ask(api)["url"], person())
    await open_breaker(instance)
    before = await stored_breakers(instance)
    (cookie,) = visitor.cookies[urlsplit(form.action).netloc].values()

    told = await complete_sign_in(instance, form.fields, Secret(cookie))

    assert isinstance(told, Completed)
    assert before == await stored_breakers(instance)


async def test_finishing_a_sign_in_leaves_the_breaker_alone(
    instance: App, browser: Browser, person: NewPerson, tenant: Tenant
) -> None:
    """A page may carry a grant for half an hour, and the person can revoke it meanwhile."""
    who = person()
    people = tenant.client.get(str(tenant.client.base_url).removesuffix("/")).json()["people"]
    oid = next(row["oid"] for row in people if row["upn"] == who)
    app, asked = first_app(instance), browser.page.registration
    tokens = await unguarded(instance).refresh(app, Secret(tenant.do("sign-in", person=who)["refreshToken"]))
    signed_in = SignedIn(Principal(app.tenant, oid, who), tokens)
    carried = await carry_grant(instance, "finish", asked, signed_in, browser.page.cookie)
    stored = await open_breaker(instance)
    await instance.stores.breakers.replace(stored, replace(stored.value, trial=instance.clock() - timedelta(seconds=1)))
    seen_breakers(instance).clear()
    tenant.do("revoke", person=who)
    before = await stored_breakers(instance)

    told = await finish_sign_in(instance, carried, browser.page.cookie)

    assert isinstance(told, Refused)
    assert "needs_sign_in" == told.code
    assert before == await stored_breakers(instance)


async def test_error_number_of_any_length_gets_a_page(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    asked = ask(api)
    form = to_the_callback(visitor, asked["url"], person())
    told = {"state": form.fields["state"], "error": "server_error", "error_description": "AADSTS" + "7" * 5000}

    page = visitor.submit(Form(form.action, told))

    assert (503, "entra_unavailable") == (page.status, code_of(page))


@pytest.mark.parametrize("claims", [{"exp": "soon"}, {"exp": []}, {"nbf": {}}, {"exp": 10**400}, {"oid": ["x"]}])
async def test_id_token_with_an_invalid_time_gets_a_page(
    api: httpx.Client, visitor: Visitor, tenant: Tenant, person: NewPerson, claims: dict[str, Any]
) -> None:
    asked, who = ask(api), person()
    tenant.do("id-token", claims=claims, times=1)

    page = visitor.follow(asked["url"], who)

    assert page.status in {200, 403}
    assert ("id_token_invalid" == code_of(page)) or claims == {"exp": 10**400}


def test_answer_that_repeats_its_error_is_refused(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    asked = ask(api)
    form = to_the_callback(visitor, asked["url"], person())
    body = urlencode([("state", form.fields["state"]), ("error", "access_denied"), ("error", "invalid_client")])

    (cookie,) = visitor.cookies[urlsplit(form.action).netloc].items()
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": "=".join(cookie)}
    page = Page(httpx.post(form.action, content=body, headers=kind))

    assert "sign_in_unknown" == code_of(page)
    assert "failure" not in status(api, asked)


async def test_link_reports_each_failure_to_its_caller_once(
    instance: App,
) -> None:
    """Each event goes to every webhook, and a browser can repeat its responses at no cost."""
    invitation = Invitation("https://myapp.example/", None, email="support@contoso.example", delegated=True)
    started = await start_registration(instance, invitation, {}, CALLER)
    ticket = Secret(parse_qs(urlsplit(started.url.reveal()).query)["ticket"][0])

    for error in ("access_denied", "access_denied", "server_error", "access_denied", "server_error"):
        page = await open_link(instance, ticket, None)
        assert isinstance(page, LinkPage)
        assert isinstance(await Browser(instance, page).returns(error=error), Refused)

    rows = [row async for row in storage_of(instance).get_table_client("Registrations").list_entities()]
    told = [row for row in rows if row["RowKey"].startswith("event~") and row["account"] == started.accounts[0]]
    assert ["access_denied", "entra_unavailable"] == sorted(json.loads(row["data"])["code"] for row in told)
    stored = await instance.stores.registrations.get(started.registration)
    assert stored is not None
    assert "entra_unavailable" == stored.value.failure
