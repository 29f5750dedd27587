"""`mailbind` on a terminal: its width, colour for trouble, progress, and secrets that are typed."""

import re
from collections.abc import Callable

import httpx
import pytest

from infra.local.visitor import Visitor
from tests.journey.apps import Register, registers_apps  # noqa: F401 - a fixture
from tests.journey.cli import Cli, Terminal, captured_command, command_on_a_terminal  # noqa: F401 - a fixture
from tests.journey.conftest import Tenant, ask, bind

type NewPerson = Callable[..., str]

ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
RED = "\x1b[31m"
ERASE_LINE = "\x1b[K"


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_table_fits_the_terminal(
    terminal: Terminal, cli: Cli, api: httpx.Client, visitor: Visitor, person: NewPerson, columns: int
) -> None:
    who = person()
    account = bind(api, visitor, who, account=f"desk-of-{who.partition('@')[0]}-and-of-her-whole-department")

    shown = terminal("list", "--authorized-by", who, columns=columns)
    lines = shown.rpartition(ERASE_LINE)[2].splitlines()
    _, whole = cli("list", "--authorized-by", who).stdout.splitlines()

    assert 2 == len(lines)
    assert max(map(len, lines)) <= columns
    assert (columns < len(whole)) == ("…" in lines[1])
    assert account == whole.split()[0]


def test_trouble_is_red_on_a_terminal_only(
    terminal: Terminal, cli: Cli, api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    account = bind(api, visitor, who)
    assert RED not in terminal("list", "--authorized-by", who)
    tenant.do("revoke", person=who)
    cli("reconnect", account)

    shown = terminal("list", "--authorized-by", who, columns=200)

    assert f"{RED}authenticationError\x1b[0m" in shown
    assert f"{RED}needs_sign_in\x1b[0m" in shown
    assert RED in terminal("show", account)
    for plain in (
        terminal("list", "--authorized-by", who, NO_COLOR="1"),
        terminal("list", "--authorized-by", who, TERM="dumb"),
        cli("list", "--authorized-by", who).stdout,
    ):
        assert "needs_sign_in" in plain
        assert not ESCAPE.search(plain)


def test_long_waiting_is_counted_on_a_terminal(terminal: Terminal, api: httpx.Client) -> None:
    shown = terminal("registration", "wait", ask(api)["registration"], "--timeout", "3")

    assert re.search(r"Waiting: nobody has opened the link \(\d s\)", shown)
    assert "pending: nobody has opened the link" in shown.rpartition(ERASE_LINE)[2]


def test_typed_secret_is_not_shown(terminal: Terminal, api: httpx.Client, register: Register) -> None:
    app = register(clientSecret="the one before")

    shown = terminal("app", "set-secret", app, "--second", keys="typed-by-hand\n", prompt="Client secret: ")

    assert f"The secret of {app} is stored." in shown
    assert "typed-by-hand" not in shown
    assert "******" == api.get(f"/v1/oauth2/{app}").json()["clientSecret2"]
