"""*Start a mailbox registration* against the running app, with what a maker of a flow fills in."""

from collections.abc import Callable

import httpx

from infra.connector.definition import definition
from infra.local.visitor import Visitor

FORM = definition("https://mailbind.example")["definitions"]["RegistrationForm"]
DEFAULTS = {name: field["default"] for name, field in FORM["properties"].items() if "default" in field}
FILLED = {"email": "support@contoso.example", "redirectUrl": "https://myapp.example/done"}


def test_required_fields_bind_a_shared_mailbox(api: httpx.Client, visitor: Visitor, person: Callable[..., str]) -> None:
    assert set(FORM["required"]) == {*FILLED, *DEFAULTS}

    started = api.post("/v1/authentication/form", json={**DEFAULTS, **FILLED}).json()

    assert (True, None) == (started["delegated"], started.get("hint"))
    assert "new" == visitor.follow(started["url"], person()).back["state"]
    bound = api.get(f"/v1/authentication/form/{started['registration']}").json()
    assert "support@contoso.example" == api.get(f"/v1/account/{bound['account']}").json()["email"]


def test_maker_can_ask_for_the_own_mailbox_of_a_person(
    api: httpx.Client, visitor: Visitor, person: Callable[..., str]
) -> None:
    who = person()

    started = api.post("/v1/authentication/form", json={**FILLED, "email": who, "delegated": False}).json()

    assert (False, None) == (started["delegated"], started.get("hint"))
    assert "new" == visitor.follow(started["url"], who).back["state"]
