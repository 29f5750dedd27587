"""A person whose sign-in lacks a scope reads something else than one without access."""

from collections.abc import Callable

import httpx

from infra.local.visitor import Visitor
from tests.journey.conftest import Tenant, ask, code_of


def test_missing_scope_differs_from_missing_access(
    api: httpx.Client, visitor: Visitor, person: Callable[..., str], tenant: Tenant
) -> None:
    who = person()
    tenant.do("fail", endpoint="graph", failure="Authorization_RequestDenied", times=9, person=who)

    page = visitor.follow(ask(api)["url"], who)

    assert (403, "missing_scope") == (page.status, code_of(page))
