"""Apps on storage of the module's own and the local tenant, and people who sign in there."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from infra.local import parts
from infra.local.azurite import Azurite
from infra.local.environment import Secrets, app_settings
from infra.local.visitor import Page, Visitor
from shared.bootstrap import build
from shared.domain.account import AccountState
from shared.domain.invited_mailbox import InvitedMailbox
from shared.domain.registration import RegistrationStatus
from shared.domain.secret import Secret
from shared.ports import App
from shared.usecases.accounts.change import remove_account
from shared.usecases.accounts.read import known_account
from shared.usecases.apps.catalogue import delete_oauth_app, register_oauth_app
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.sign_in.complete import complete_sign_in
from shared.usecases.sign_in.invitation import Invitation
from shared.usecases.sign_in.link import LinkPage, begin_sign_in, open_link
from shared.usecases.sign_in.outcome import Outcome, Refused
from shared.usecases.sign_in.start import Started, start_registration
from tests.conftest import MovedClock
from tests.environments import reset, trust
from tests.journey.conftest import Tenant, person  # noqa: F401 - a fixture

REDIRECT_URL = "https://myapp.example/done?x=1#frag"
SUPPORT, SALES, BOARD = "support@contoso.example", "sales@contoso.example", "board@contoso.example"
numbers = itertools.count(1)

type StartApp = Callable[..., App]
type NewPerson = Callable[..., str]
type Register = Callable[..., Awaitable[str]]


@pytest.fixture(scope="module")
def app_values(storage: Azurite, shared_tenant: parts.Part) -> Mapping[str, str]:
    """The settings of every app of the module. They have one sealing key, as they share the storage."""
    return app_settings(storage, shared_tenant.ready, "http://127.0.0.1:7071", Secrets.fresh())


@pytest.fixture
async def new_app(app_values: Mapping[str, str], clock: MovedClock) -> AsyncIterator[StartApp]:
    """Builds one more instance of the app, with these settings changed."""
    built: list[App] = []

    def new(**changes: str) -> App:
        built.append(build({**app_values, **changes}, clock))
        return built[-1]

    yield new
    for app in built:
        await app.close()


@pytest.fixture
def app(new_app: StartApp) -> App:
    return new_app()


@pytest.fixture
def reusing_app(new_app: StartApp) -> App:
    """An app whose grants serve many accounts."""
    return new_app(MAILBIND_OAUTH_CREDENTIAL_REUSE="true")


@pytest.fixture
async def register(app: App, shared_tenant: parts.Part) -> AsyncIterator[Register]:
    """Registers one more OAuth app, with the tenant's own client. It is deleted after the test."""
    ready, ids = shared_tenant.ready, list[str]()
    fields = {
        "name": "Another app",
        "enabled": True,
        "client_id": ready["clientId"],
        "client_secret": Secret(ready["clientSecret"]),
        "authority": ready["tenantId"],
    }

    async def new(**changes: Any) -> str:
        ids.append(await register_oauth_app(app, {**fields, **changes}, {}))
        return ids[-1]

    yield new
    for oauth_app in ids:
        await delete_oauth_app(app, oauth_app, force=True)


@pytest.fixture
def tenant(shared_tenant: parts.Part) -> Iterator[Tenant]:
    """The tenant's control endpoint. The tenant is reset after the test."""
    ready = shared_tenant.ready
    with httpx.Client(base_url=ready["controlUrl"] + "/", verify=trust(ready["caFile"]), timeout=30) as client:
        yield Tenant(client)
    reset(shared_tenant)


@pytest.fixture
def visitor(tenant: Tenant, shared_tenant: parts.Part) -> Iterator[Visitor]:
    """A browser that is only used at the tenant."""
    assert tenant
    with Visitor(shared_tenant.ready["caFile"]) as browser:
        yield browser


@pytest.fixture
async def sending_account(
    app: App,
    visitor: Visitor,
    tenant: Tenant,
    person: NewPerson,  # noqa: F811 - the fixture
) -> AsyncIterator[str]:
    """An account whose person may send as support@."""
    login = person()
    tenant.do("access", person=login, mailbox=SUPPORT, sendAs=True)
    bound = await bind(app, visitor, login)
    yield bound
    await remove_account(app, bound)


class AtMicrosoft(NamedTuple):
    """A sign-in that is at Microsoft: the page to choose an account on, and Mailbind's cookie of the browser."""

    picker: Page
    cookie: Secret


async def ask(app: App, **changes: Any) -> Started:
    """Ask for a link to a shared mailbox."""
    fields = {
        "redirect_url": REDIRECT_URL,
        "account": f"account-{next(numbers)}",
        "email": SUPPORT,
        "delegated": True,
        **changes,
    }
    return await start_registration(app, Invitation(**fields), {}, ADMINISTRATOR)


async def ask_for_several(app: App, *mailboxes: str) -> Started:
    """Ask for a link to several shared mailboxes; its accounts are in the same order."""
    several = tuple(InvitedMailbox(f"account-{next(numbers)}", mailbox) for mailbox in mailboxes)
    return await start_registration(app, Invitation(REDIRECT_URL, mailboxes=several), {}, ADMINISTRATOR)


async def open_page(app: App, link: Started) -> LinkPage:
    """The page of a link, in a new browser. Raises UnusableLink."""
    return await open_link(app, Secret(parse_qs(urlsplit(link.url.reveal()).query)["ticket"][0]), None)


async def go_to_microsoft(app: App, visitor: Visitor, link: Started) -> AtMicrosoft:
    """Open the link and continue to the account picker."""
    page = await open_page(app, link)
    url = await begin_sign_in(app, link.registration, page.confirmation, page.cookie)
    return AtMicrosoft(await asyncio.to_thread(visitor.open, url.reveal()), page.cookie)


async def choose_person(visitor: Visitor, picker: Page, login: str) -> Mapping[str, str]:
    """Choose the person and accept the consent page; returns the form that Microsoft has the browser post back."""
    page = await asyncio.to_thread(visitor.submit, picker.forms[0], login=login)
    if "login" in page.forms[0].fields:
        page = await asyncio.to_thread(visitor.submit, page.forms[0], consent="accept")
    return page.forms[0].fields


async def sign_in(app: App, visitor: Visitor, link: Started, login: str) -> Outcome:
    """Open the link and sign in. Raises UnusableLink."""
    begun = await go_to_microsoft(app, visitor, link)
    return await complete_sign_in(app, await choose_person(visitor, begun.picker, login), begun.cookie)


async def bind(app: App, visitor: Visitor, login: str, **changes: Any) -> str:
    """A bound account's id."""
    link = await ask(app, **changes)
    assert end_of(await sign_in(app, visitor, link, login)) in {"new", "existing"}
    return link.accounts[0]


def end_of(outcome: Outcome) -> str:
    """How a sign-in for one mailbox ended: the code of its refusal, or the state of the mailbox."""
    if isinstance(outcome, Refused):
        return outcome.code
    (result,) = outcome.results.values()
    return result.code or result.state


async def status(app: App, link: Started) -> RegistrationStatus:
    """What a caller is told about the registration."""
    stored = await app.stores.registrations.get(link.registration)
    assert stored is not None
    return stored.value.status_at(app.clock())


async def states(app: App, link: Started) -> list[str]:
    """The status of the registration, and the state of each mailbox, or the code of why it is not bound."""
    stored = await app.stores.registrations.get(link.registration)
    assert stored is not None
    return [await status(app, link), *(mailbox.failure or mailbox.state for mailbox in stored.value.mailboxes)]


async def state_of(app: App, account: str) -> tuple[AccountState, str | None]:
    """The state of the account, and the code of its error."""
    known = (await known_account(app, account)).account.value
    return known.state, known.last_error.code if known.last_error else None
