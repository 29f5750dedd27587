"""One person with two shared mailboxes on one grant, and callers who may use one of them only."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.visitor import Visitor
from tests.environments import StartApp, trust
from tests.journey.conftest import Tenant, bind

SUPPORT, SALES, BOARD = "support@contoso.example", "sales@contoso.example", "board@contoso.example"
MAIL = ("mail:read", "mail:write", "mail:send")


@dataclass(frozen=True)
class TwoMailboxes:
    """The app, the tenant, and the person who opens both mailboxes; `board@` is open to them, and not bound."""

    environment: Environment
    tenant: Tenant
    api: httpx.Client
    person: str

    def token(self, scopes: Sequence[str] = MAIL, accounts: Sequence[str] = ("support",)) -> str:
        """An API token for these accounts."""
        wish = {"description": "confined", "scopes": list(scopes), "accounts": list(accounts)}
        answer = self.api.post("/v1/token", json=wish)
        assert answer.is_success, answer.text
        return str(answer.json()["token"])


@pytest.fixture(scope="module")
def mailboxes(start_app: StartApp) -> Iterator[TwoMailboxes]:
    with start_app(MAILBIND_OAUTH_CREDENTIAL_REUSE="true") as environment:
        ready = environment.tenant.ready
        headers = {"Authorization": f"Bearer {environment.secrets.admin_token}"}
        with (
            httpx.Client(base_url=ready["controlUrl"] + "/", verify=trust(ready["caFile"]), timeout=30) as control,
            httpx.Client(base_url=environment.base_url, headers=headers, timeout=30) as api,
        ):
            tenant = Tenant(control)
            person = tenant.do("person", create=1, first=1)["people"][0]
            for mailbox in (SUPPORT, SALES, BOARD):
                tenant.do("access", person=person, mailbox=mailbox, fullAccess=True, sendAs=True)
            for account, email in (("support", SUPPORT), ("sales", SALES)):
                with Visitor(ready["caFile"]) as visitor:
                    bind(api, visitor, person, account=account, email=email)
            yield TwoMailboxes(environment, tenant, api, person)


@pytest.fixture(scope="module")
def caller(mailboxes: TwoMailboxes) -> Iterator[httpx.Client]:
    """A caller who may read, write and send mail of support@, and nothing else."""
    with client_of(mailboxes, mailboxes.token()) as client:
        yield client


@pytest.fixture(scope="module")
def new_caller(mailboxes: TwoMailboxes) -> Iterator[Callable[..., httpx.Client]]:
    """Callers with the scopes and accounts of `TwoMailboxes.token`."""
    clients: list[httpx.Client] = []

    def new(*scopes: str, accounts: Sequence[str] = ("support",)) -> httpx.Client:
        clients.append(client_of(mailboxes, mailboxes.token(scopes, accounts)))
        return clients[-1]

    yield new
    for client in clients:
        client.close()


def client_of(mailboxes: TwoMailboxes, token: str) -> httpx.Client:
    """A client of confined access, whose paths begin after `/v1.0/`."""
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=f"{mailboxes.environment.base_url}/v1.0/", headers=headers, timeout=30)
