"""One principal authorizes one account."""

from collections.abc import Callable

import httpx

from infra.local.visitor import Visitor
from tests.journey.conftest import ask, bind, code_of


def test_second_account_with_a_similar_id_is_refused(
    api: httpx.Client, visitor: Visitor, person: Callable[..., str]
) -> None:
    who = person()
    first = bind(api, visitor, who, account="strasse-1")

    page = visitor.follow(ask(api, account="straẞe-1")["url"], who)

    assert (403, "principal_in_use") == (page.status, code_of(page))
    assert 404 == api.get("/v1/account/straẞe-1").status_code
    assert "connected" == api.get(f"/v1/account/{first}").json()["state"]
