"""A caller who may read the mail of one mailbox, and nothing else."""

from collections.abc import Iterator

import httpx
import pytest

from infra.local.visitor import Visitor
from tests.described import as_described
from tests.environments import StartApp, trust
from tests.journey.conftest import Tenant, bind

MAILBOX = "support@contoso.example"


@pytest.fixture(scope="module")
def mail(start_app: StartApp) -> Iterator[tuple[httpx.Client, Tenant]]:
    """The account `support` as a caller sees it, and the tenant. What passes is at most 1 MiB."""
    with start_app(MAILBIND_MAX_ANSWER_MIB="1") as environment:
        ready = environment.tenant.ready
        with (
            httpx.Client(base_url=ready["controlUrl"] + "/", verify=trust(ready["caFile"]), timeout=30) as control,
            httpx.Client(base_url=environment.base_url, timeout=30) as administrator,
            Visitor(ready["caFile"]) as visitor,
        ):
            tenant = Tenant(control)
            login = tenant.do("person", create=1, first=1)["people"][0]
            tenant.do("access", person=login, mailbox=MAILBOX, fullAccess=True)
            administrator.headers["Authorization"] = f"Bearer {environment.secrets.admin_token}"
            bind(administrator, visitor, login, account="support", email=MAILBOX)
            wish = {"description": "reader", "scopes": ["mail:read"], "accounts": ["support"]}
            token = administrator.post("/v1/token", json=wish).json()["token"]
            headers = {"Authorization": f"Bearer {token}"}
            url = f"{environment.base_url}/v1/account/support/"
            with httpx.Client(
                base_url=url, headers=headers, timeout=30, event_hooks={"response": [as_described]}
            ) as client:
                yield client, tenant


@pytest.fixture
def caller(mail: tuple[httpx.Client, Tenant]) -> httpx.Client:
    return mail[0]
