"""Promises about what is not written down."""

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import httpx

from infra.local.environment import Environment
from infra.local.visitor import Visitor
from shared.services import Services
from tests.journey.conftest import ask, bind
from tests.journey.test_callback import to_the_callback

type NewPerson = Callable[..., str]


async def test_neither_logs_nor_tables_hold_what_could_be_used_by_a_thief(
    api: httpx.Client, visitor: Visitor, person: NewPerson, environment: Environment, instance: Services
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
        async for row in instance.storage.get_table_client(table).list_entities()
    ]

    assert asked["registration"] in log
    assert not [secret for secret in secrets if secret in log]
    assert not [secret for secret in secrets if any(secret in row for row in rows)]
    assert not [row for row in rows if re.search(r"eyJ[\w-]+\.eyJ", row)]
    assert who not in log
    assert not re.findall(r"[\w.]+@[\w.]+\.example", log)
    assert "ticket=" not in log
    assert "code=" not in re.sub(r" code=[a-z_]+", "", log)


async def test_every_secret_column_is_sealed(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: Services
) -> None:
    bind(api, visitor, person())
    visitor.go_to_microsoft(ask(api)["url"])

    rows = [
        row
        for table in ("Principals", "Registrations")
        async for row in instance.storage.get_table_client(table).list_entities()
    ]

    sealed = [row[name] for row in rows for name in ("refresh_token", "access_token", "flow") if name in row]
    assert len(sealed) >= 3
    assert all(re.fullmatch(r"v1\.[0-9a-f]+\.[\w=-]+", value) for value in sealed)
