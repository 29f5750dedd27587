"""People who sign in through the app's own use cases and the local tenant, without a Functions host in between."""

import asyncio
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from infra.local.visitor import Page, Visitor
from shared.domain.secret import Secret
from shared.ports import App
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.sign_in.complete import complete_sign_in
from shared.usecases.sign_in.invitation import Invitation
from shared.usecases.sign_in.link import begin_sign_in, open_link
from shared.usecases.sign_in.outcome import Completed, Refused
from shared.usecases.sign_in.start import start_registration
from tests.keys.conftest import Vault

MAILBOX = "support@contoso.example"
NUMBER = iter(range(1, 10_000))


@dataclass(frozen=True)
class Begun:
    """A sign-in that is at Microsoft: the page to choose an account on, and what must never be found at rest."""

    account: str
    registration: str
    picker: Page
    cookie: Secret
    ticket: str
    state: str


def person(vault: Vault, *, access: bool = True) -> str:
    """Somebody new in the tenant."""
    name: str = vault.do("person", create=1, first=next(NUMBER))["people"][0]
    vault.do("access", person=name, mailbox=MAILBOX, fullAccess=access)
    return name


async def begin(services: App, visitor: Visitor) -> Begun:
    """Ask for a link, open it, continue."""
    invitation = Invitation(
        redirect_url="https://myapp.example/done", account=f"account-{next(NUMBER)}", email=MAILBOX, delegated=True
    )
    started = await start_registration(services, invitation, {}, ADMINISTRATOR)
    ticket = parse_qs(urlsplit(started.url.reveal()).query)["ticket"][0]
    page = await open_link(services, Secret(ticket), None)
    url = await begin_sign_in(services, started.registration, page.confirmation, page.cookie)
    state = parse_qs(urlsplit(url.reveal()).query)["state"][0]
    picker = await asyncio.to_thread(visitor.open, url.reveal())
    return Begun(str(invitation.account), started.registration, picker, page.cookie, ticket, state)


async def finish(services: App, visitor: Visitor, begun: Begun, who: str) -> Completed | Refused:
    """Choose the account, and bring Entra's form back."""
    answer = await asyncio.to_thread(visitor.submit, begun.picker.forms[0], login=who)
    if "login" in answer.forms[0].fields:
        answer = await asyncio.to_thread(visitor.submit, answer.forms[0], consent="accept")
    return await complete_sign_in(services, answer.forms[0].fields, begun.cookie)


async def sign_in(services: App, ca_file: str, who: str) -> str:
    """The whole way; returns the account's id."""
    with Visitor(ca_file) as visitor:
        begun = await begin(services, visitor)
        done = await finish(services, visitor, begun, who)
    assert isinstance(done, Completed), done
    return begun.account
