"""People who sign in through the app's own use cases and the local tenant, without a Functions host in between."""

import asyncio
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from infra.local.visitor import Page, Visitor
from shared.domain.secret import Secret
from shared.services import Services
from shared.usecases.callers.identify_caller import ADMINISTRATOR
from shared.usecases.sign_in.check_invitation import Invitation
from shared.usecases.sign_in.live_links import DeadLink
from shared.usecases.sign_in.open_link import LinkPage
from shared.usecases.sign_in.sign_in_outcome import Refused, Tried
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


async def begin(services: Services, visitor: Visitor) -> Begun:
    """Ask for a link, open it, continue."""
    invitation = Invitation(
        redirect_url="https://myapp.example/done", account=f"account-{next(NUMBER)}", email=MAILBOX, delegated=True
    )
    started = await services.start_registration(invitation, {}, ADMINISTRATOR)
    ticket = parse_qs(urlsplit(started.url.reveal()).query)["ticket"][0]
    page = await services.open_link(Secret(ticket), None)
    assert isinstance(page, LinkPage)
    url = await services.begin_sign_in(started.registration, page.confirmation, page.cookie)
    assert not isinstance(url, DeadLink), url.code
    state = parse_qs(urlsplit(url.reveal()).query)["state"][0]
    picker = await asyncio.to_thread(visitor.open, url.reveal())
    return Begun(str(invitation.account), started.registration, picker, page.cookie, ticket, state)


async def finish(services: Services, visitor: Visitor, begun: Begun, who: str) -> Tried | Refused:
    """Choose the account, and bring Entra's form back."""
    answer = await asyncio.to_thread(visitor.submit, begun.picker.forms[0], login=who)
    if "login" in answer.forms[0].fields:
        answer = await asyncio.to_thread(visitor.submit, answer.forms[0], consent="accept")
    return await services.complete_sign_in(answer.forms[0].fields, begun.cookie)


async def sign_in(services: Services, ca_file: str, who: str) -> str:
    """The whole way; returns the account's id."""
    with Visitor(ca_file) as visitor:
        begun = await begin(services, visitor)
        done = await finish(services, visitor, begun, who)
    assert isinstance(done, Tried), done
    return begun.account
