"""The local tenant for tests: one process for the run, reset to contoso.toml before each test."""

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from infra.local.parts import Part, python_part, running, start
from tests.local.mail_visitor import MailVisitor
from tests.local.tenant_visitor import ALICE, Browser, LocalTenant, trust_context


@pytest.fixture(scope="session")
def tenant_part(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Part]:
    folder = tmp_path_factory.mktemp("tenant")
    with running(start("tenant", python_part("infra.local.tenant", "--folder", str(folder)), folder=folder)) as part:
        yield part


@pytest.fixture(scope="session")
def tenant_http(tenant_part: Part) -> Iterator[httpx.Client]:
    with httpx.Client(verify=trust_context(tenant_part.ready)) as client:
        yield client


@pytest.fixture
def tenant(tenant_part: Part, tenant_http: httpx.Client) -> LocalTenant:
    local_tenant = LocalTenant(tenant_part.ready, tenant_http)
    local_tenant.control("reset")
    return local_tenant


@pytest.fixture
def browser(tenant: LocalTenant) -> Iterator[Browser]:
    opened = Browser(tenant)
    with opened.client:
        yield opened


@pytest.fixture
def support(tenant: LocalTenant) -> MailVisitor:
    """Alice at the shared mailbox support@, which begins with messages."""
    return MailVisitor(tenant, tenant.access_token_of(ALICE), "/users/support@contoso.example")


@pytest.fixture
def sales(support: MailVisitor) -> MailVisitor:
    """Alice at the shared mailbox sales@, which begins empty."""
    return replace(support, user="/users/sales@contoso.example")
