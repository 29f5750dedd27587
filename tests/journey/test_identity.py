"""Who signs in is checked by what proves it, and the refusal says why."""

from collections.abc import Callable

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.visitor import Visitor
from tests.journey.apps import fields_of
from tests.journey.conftest import ask, code_of, status

type NewPerson = Callable[..., str]


def test_only_the_expected_person_of_the_tenant_may_sign_in(
    api: httpx.Client, environment: Environment, visitor: Visitor, person: NewPerson
) -> None:
    who, tenant_id = person(), environment.tenant.ready["tenantId"]
    invited = {"email": None, "delegated": None, "expectedEmail": who.upper(), "expectedTenant": tenant_id.upper()}
    asked = ask(api, **invited)

    other = person()
    page = visitor.follow(asked["url"], other)

    assert (403, "unexpected_person") == (page.status, code_of(page))
    assert f"The link names {who.upper()}. You signed in as {other}." in page.text
    assert other not in str(status(api, asked))
    assert 404 == api.get(f"/v1/account/{asked['account']}").status_code
    assert "failed" == status(api, asked)["status"]
    assert "new" == visitor.follow(asked["url"], who).back["state"]
    found = api.get(f"/v1/account/{asked['account']}").json()
    token = api.get(f"/v1/account/{asked['account']}/oauth-token").json()
    assert {who} == {found["email"], found["user"], found["authorizedBy"]["user"], token["email"], token["user"]}


def test_address_of_another_person_is_refused(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    other = person()
    asked = ask(api, email="o'brien&sons@contoso.example", delegated=None)

    page = visitor.follow(asked["url"], other)

    assert (403, "email_mismatch") == (page.status, code_of(page))
    assert "o&#39;brien&amp;sons@contoso.example" in page.html
    assert f"You signed in as {other}." in page.text
    assert 404 == api.get(f"/v1/account/{asked['account']}").status_code


@pytest.mark.parametrize("value", ["contoso.example", "common", 7, "{7c3f1e52-5d1b-4a57-9a0e-2f6c7f1d9b10}"])
def test_expected_tenant_must_be_a_tenant_id(api: httpx.Client, value: object) -> None:
    body = {"redirectUrl": "https://myapp.example/", "expectedTenant": value}

    assert {"expectedTenant"} == fields_of(api.post("/v1/authentication/form", json=body))
