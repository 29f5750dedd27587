"""What is never logged or stored."""

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.visitor import Form, Visitor
from shared.bootstrap import build
from shared.domain.formats import fingerprint
from shared.ports import App
from tests.conftest import MovedClock, storage_of
from tests.environments import StartApp, trust
from tests.journey.conftest import Tenant, ask, bind, principal_id
from tests.journey.test_callback import to_the_callback
from tests.journey.test_waiting import press_keep_checking

type NewPerson = Callable[..., str]


async def test_neither_logs_nor_tables_hold_usable_secrets(
    api: httpx.Client, visitor: Visitor, person: NewPerson, environment: Environment, instance: App
) -> None:
    who, asked = person(), ask(api)
    ticket = parse_qs(urlsplit(asked["url"]).query)["ticket"][0]
    form = to_the_callback(visitor, asked["url"], who)
    visitor.submit(form)
    token = api.get(f"/v1/account/{asked['account']}/oauth-token").json()["accessToken"]
    cookie = next(iter(visitor.cookies[urlsplit(environment.base_url).netloc].values()))
    secrets = [ticket, form.fields["code"], form.fields["state"], token, cookie, environment.secrets.admin_token]
    secrets += [environment.settings["MAILBIND_OAUTH_CLIENT_SECRET"], environment.settings["MAILBIND_SEALING_KEY"]]

    log = environment.host.log.read_text()
    rows = [
        str(row)
        for table in ("Principals", "Accounts", "Registrations", "Agenda", "DataKeys")
        async for row in storage_of(instance).get_table_client(table).list_entities()
    ]

    assert asked["registration"] in log
    assert not [secret for secret in secrets if secret in log]
    assert not [secret for secret in secrets if any(secret in row for row in rows)]
    assert not [row for row in rows if re.search(r"eyJ[\w-]+\.eyJ", row)]
    assert who not in log
    assert not [line for line in log.splitlines() if re.search(r"[\w.]+@[\w.]+\.example", line)]
    assert "ticket=" not in log
    assert not re.search(r"[?&]code=", log)


async def test_every_secret_column_is_sealed(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App
) -> None:
    bind(api, visitor, person())
    visitor.go_to_microsoft(ask(api)["url"])

    rows = [
        row
        for table in ("Principals", "Registrations")
        async for row in storage_of(instance).get_table_client(table).list_entities()
    ]

    sealed = [
        row[name] for row in rows for name in ("refresh_token", "access_token", "further_token", "flow") if name in row
    ]
    assert len(sealed) >= 3
    assert all(re.fullmatch(r"v1\.[0-9a-f]+\.[\w=-]+", value) for value in sealed)


ADDRESS = "198.51.100.77"
# Who else says anything, at DEBUG or above: the loop once, the worker while it indexes functions, and the local host.
TALKATIVE = {"asyncio", "azure.functions", "uvicorn.error"}


@pytest.fixture(scope="module")
def talkative(start_app: StartApp) -> Iterator[Environment]:
    """An environment whose host logs at DEBUG, as an operator may switch on any day."""
    with start_app(PYTHON_ENABLE_DEBUG_LOGGING="1", MAILBIND_PROXIES="1") as running:
        yield running


@dataclass
class Journey:
    """Run every success and failure once, and collect the secrets."""

    environment: Environment
    instance: App
    api: httpx.Client
    tenant: Tenant
    secrets: list[str] = field(default_factory=list)

    def visitor(self) -> Visitor:
        return Visitor(self.environment.tenant.ready["caFile"])

    def ask(self, **changes: object) -> dict[str, str]:
        asked = ask(self.api, **changes)
        self.secrets += parse_qs(urlsplit(asked["url"]).query)["ticket"]
        return asked

    async def to_the_callback(self, visitor: Visitor, link: str, who: str) -> Form:
        self.secrets.append(visitor.open(link).form_with("confirmation").fields["confirmation"])
        form = to_the_callback(visitor, link, who)
        state = form.fields["state"]
        attempt = await self.instance.stores.registrations.attempt(state.partition(".")[0], fingerprint(state))
        assert attempt is not None
        flow = json.loads(attempt.value.flow.reveal())
        self.secrets += [form.fields["code"], state, flow["code_verifier"], flow["nonce"]]
        self.secrets += visitor.cookies[urlsplit(self.environment.base_url).netloc].values()
        return form

    def run(self, *timers: str) -> None:
        """Run the host's timers now."""
        headers = {"x-functions-key": self.environment.host.ready["keys"]["master"]}
        for name in timers:
            answer = self.api.post(f"/admin/functions/{name}", headers=headers, json={})
            assert 202 == answer.status_code

    async def bound(self) -> str:
        asked = self.ask()
        with self.visitor() as visitor:
            form = await self.to_the_callback(visitor, asked["url"], "alice@contoso.example")
            assert "new" == visitor.submit(form).back["state"]
            assert "new" == visitor.submit(form).back["state"]
        await self.note_tokens(asked["account"])
        return asked["account"]

    async def note_tokens(self, account: str) -> None:
        self.secrets.append(self.api.get(f"/v1/account/{account}/oauth-token").json()["accessToken"])
        grant = await self.instance.stores.principals.grant(
            await principal_id(self.instance, account), "AAABiCtT7XUAAAAF"
        )
        assert grant is not None
        self.secrets += [grant.value.refresh_token.reveal(), grant.value.access_token.reveal()]

    async def refused_and_waiting(self) -> None:
        asked = self.ask()
        with self.visitor() as visitor:
            page = visitor.submit(await self.to_the_callback(visitor, asked["url"], "mallory@contoso.example"))
            self.secrets.append(page.form_with("keep").fields["keep"])
            assert 202 == press_keep_checking(visitor, page).status
            form = await self.to_the_callback(visitor, asked["url"], "mallory@contoso.example")
            hostile = "a-hostile-description"
            self.secrets.append(hostile)
            visitor.submit(
                Form(form.action, {"state": form.fields["state"], "error": hostile, "error_description": hostile})
            )
            gone = await self.to_the_callback(visitor, asked["url"], "mallory@contoso.example")
            visitor.open(str(httpx.URL(gone.action, params=gone.fields)))

    async def outages(self, account: str) -> None:
        self.tenant.do("fail", endpoint="token", failure="50173", times=1)
        self.api.put(f"/v1/account/{account}/reconnect", json={"reconnect": True})
        for endpoint in ("token", "graph"):
            asked = self.ask()
            with self.visitor() as visitor:
                form = await self.to_the_callback(visitor, asked["url"], "bob@contoso.example")
                self.tenant.do("outage", endpoint=endpoint, mode="reset")
                assert visitor.submit(form).status in {202, 503}
                self.tenant.do("outage", endpoint=endpoint, mode="none")

    async def repaired(self, account: str) -> None:
        asked = self.ask(account=account)
        with self.visitor() as visitor:
            form = await self.to_the_callback(visitor, asked["url"], "alice@contoso.example")
            assert "existing" == visitor.submit(form).back["state"]
        self.api.put(f"/v1/account/{account}/reconnect", json={"reconnect": True})
        await self.note_tokens(account)


@pytest.fixture
async def beside(talkative: Environment, clock: MovedClock) -> AsyncIterator[App]:
    """Another instance on the same storage, which can open what is sealed."""
    built = build(talkative.settings, clock)
    yield built
    await built.close()


async def test_debug_logs_and_storage_hold_no_usable_secrets(talkative: Environment, beside: App) -> None:
    guess, ready = "f" * 64, talkative.tenant.ready
    headers = {"Authorization": f"Bearer {talkative.secrets.admin_token}", "X-Forwarded-For": ADDRESS}
    with (
        httpx.Client(base_url=talkative.base_url, headers=headers, timeout=30) as api,
        httpx.Client(base_url=ready["controlUrl"] + "/", verify=trust(ready["caFile"])) as control,
    ):
        journey = Journey(talkative, beside, api, Tenant(control))
        for who in ("bob@contoso.example", "mallory@contoso.example"):
            journey.tenant.do("person", upn=who, consented=True)
        api.get("/v1/accounts", headers={"Authorization": f"Bearer {guess}"})
        api.post("/v1/authentication/form", content=b'{"redirectUrl": "https://a.example/?secret=not-for-the-log", x')
        account = await journey.bound()
        await journey.refused_and_waiting()
        await journey.outages(account)
        await journey.repaired(account)
        journey.run("refresh_grants", "reap_registrations", "sweep_grants")
        api.delete(f"/v1/account/{account}")
    settings = talkative.settings
    journey.secrets += [guess, "not-for-the-log", talkative.secrets.admin_token, settings["MAILBIND_SEALING_KEY"]]
    journey.secrets += [settings["MAILBIND_OAUTH_CLIENT_SECRET"], str(talkative.host.ready["keys"]["master"])]
    log = talkative.host.log.read_text()
    rows = [
        str(row)
        async for table in storage_of(beside).list_tables()
        async for row in storage_of(beside).get_table_client(table.name).list_entities()
    ]

    assert " DEBUG " in log
    assert TALKATIVE == set(re.findall(r"(?m)^\S+ [A-Z]+ ((?!shared\.)\S+)", log))
    assert len(journey.secrets) > 40
    spelled = {text for secret in journey.secrets for text in (secret, quote(secret, safe=""))}
    assert not [secret for secret in spelled if secret in log]
    assert not [secret for secret in spelled if any(secret in row for row in rows)]
    # Encrypted text can contain "eyJ" by chance, but no dots.
    assert not re.findall(r"eyJ[\w-]+\.[\w-]+", log + "".join(rows))
    assert not re.findall(r"[\w.]+(?:@|%40)[\w.]+\.example", log)
    assert not [name for name in ("ticket=", "code_verifier", "refresh_token", "Traceback") if name in log]
    assert ADDRESS not in log + "".join(rows)
