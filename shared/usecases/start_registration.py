"""Start a registration: a caller asks for a sign-in link."""

import base64
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from shared.domain.account import Account
from shared.domain.caller import Caller
from shared.domain.errors import InvalidInput, StaleWrite
from shared.domain.keys import fingerprint
from shared.domain.principal import same_address
from shared.domain.registration import REMEMBERED, PendingRegistration, RegistrationStatus
from shared.domain.secret import Secret
from shared.domain.work import Work, WorkKind
from shared.ports import Agenda, Clock, Entropy, OAuthApps, Registrations
from shared.usecases import use_case
from shared.usecases.find_account import FindAccount

log = logging.getLogger(__name__)

ACCOUNT_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a caller asks for; `type` is an OAuth app's id, `principal_id` whose sign-in alone will do."""

    redirect_url: str | None = None
    account: str | None = None
    name: str | None = None
    email: str | None = None
    expected_email: str | None = None
    delegated: bool = False
    type: str | None = None
    allow_principal_change: bool = False
    principal_id: str | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The link, and what it can be asked after by."""

    url: Secret
    registration: str
    account: str
    expires: datetime


@use_case
class StartRegistration:
    """`origins` are those that a `redirectUrl` may have; empty allows all, which settings accept only locally.

    The newest link of an account is the only one that works, whoever asked for it: whoever may register the account may
    ask again, and nobody can keep an account's id to themselves by asking first.
    """

    registrations: Registrations
    find: FindAccount
    agenda: Agenda
    apps: OAuthApps
    base_url: str
    origins: frozenset[str]
    lifetime: timedelta
    clock: Clock
    entropy: Entropy

    async def __call__(self, invitation: Invitation, faults: Mapping[str, str], caller: Caller) -> Started:
        """Store the invitation. `faults` were found in reading it; raises InvalidInput with all there are.

        Raises Forbidden for an account that the caller may not reach; a bound caller has to name one.
        """
        if invitation.account:
            caller.reaches(invitation.account)
        existing = await self._existing(invitation, faults)
        app = await self._app(invitation, existing)
        faults = {
            **self._faults(invitation, caller, known_app=app is not None),
            **_contradictions(invitation, existing),
            **faults,
        }
        if faults or app is None or invitation.redirect_url is None:
            raise InvalidInput(faults)
        asked = _completed(invitation, existing)
        ticket = Secret(base64.urlsafe_b64encode(self.entropy(32)).rstrip(b"=").decode())
        now = self.clock()
        registration = PendingRegistration(
            id=fingerprint(ticket),
            account=invitation.account or self._account_id(),
            redirect_url=invitation.redirect_url,
            app=app,
            requested_by=caller.id,
            requester=caller.name,
            created=now,
            expires=now + self.lifetime,
            name=invitation.name,
            email=asked.email,
            expected_email=invitation.expected_email,
            delegated=asked.delegated,
            allow_principal_change=invitation.allow_principal_change,
            pinned_to=invitation.principal_id,
        )
        await self.agenda.add(Work(WorkKind.REAP, registration.expires + REMEMBERED, registration.id))
        await self.registrations.insert(registration)
        if invitation.account:
            await self._supersede(registration)
        log.info("registration started", extra={"registration": registration.id, "by": caller.id})
        url = Secret(f"{self.base_url}/accounts/new?ticket={ticket.reveal()}")
        return Started(url, registration.id, registration.account, registration.expires)

    async def _existing(self, invitation: Invitation, faults: Mapping[str, str]) -> Account | None:
        if not invitation.account or "account" in faults:
            return None
        found = await self.find(invitation.account)
        return found.account.value if found else None

    async def _app(self, invitation: Invitation, existing: Account | None) -> str | None:
        """The OAuth app that is asked for, or the account's, or the only one; empty where the person has to choose."""
        enabled = [app.id for app in await self.apps.all() if app.enabled]
        if invitation.type:
            # One that is new may not have been noticed here yet.
            app = await self.apps.get(invitation.type)
            return app.id if app is not None and app.enabled else None
        if existing is not None and existing.app in enabled:
            return existing.app
        return "" if len(enabled) > 1 else next(iter(enabled), None)

    async def _supersede(self, registration: PendingRegistration) -> None:
        """Make every earlier link of the account worthless.

        The one write does it. That the last earlier one says so itself only spares its readers a look, and makes it
        stay so when the newest has been forgotten.
        """
        before = await self.registrations.newest(registration.account)
        await self.registrations.make_newest(registration)
        outdated = await self.registrations.get(before.registration) if before else None
        if outdated is not None and outdated.value.stage is RegistrationStatus.REPLACED:
            with suppress(StaleWrite):  # somebody follows it right now, and finds out by themselves
                await self.registrations.replace(outdated, outdated.value)
            log.info("registration replaced", extra={"registration": outdated.value.id, "by": registration.id})

    def _faults(self, invitation: Invitation, caller: Caller, *, known_app: bool) -> dict[str, str]:
        faults = {}
        if not invitation.account and caller.binding is not None:
            faults["account"] = '"account" is required of a caller that is bound to certain accounts'
        if not known_app:
            faults["type"] = '"type" must be the id of an enabled OAuth app'
        if invitation.delegated and not invitation.email:
            faults["email"] = '"email" is required when "delegated" is true: it is the shared mailbox'
        if fault := self._redirect_fault(invitation.redirect_url):
            faults["redirectUrl"] = fault
        return faults

    def _redirect_fault(self, url: str | None) -> str | None:
        if not url:
            return '"redirectUrl" is required'
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return '"redirectUrl" must be a valid URL'
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None or "\\" in url:
            return '"redirectUrl" must be an absolute http or https URL'
        if self.origins and origin(parts.scheme, parts.hostname, port) not in self.origins:
            return '"redirectUrl" is outside of the allowed origins'
        return None

    def _account_id(self) -> str:
        return "".join(ACCOUNT_ALPHABET[byte % len(ACCOUNT_ALPHABET)] for byte in self.entropy(16))


def _contradictions(invitation: Invitation, existing: Account | None) -> dict[str, str]:
    """What the form says of an account that exists and is otherwise: what kind it is never changes."""
    if existing is None or existing.shared is invitation.delegated:
        return {}
    if not existing.shared:
        return {"delegated": '"delegated" must be false: the account exists, and is a person\'s own mailbox'}
    if invitation.email and not same_address(invitation.email, existing.email):
        return {
            "email": '"email" is not the mailbox of the account, which is a shared one: leave it out to reauthorize'
        }
    return {}


def _completed(invitation: Invitation, existing: Account | None) -> Invitation:
    """Where the form leaves out that the account is a shared mailbox, the invitation says it, and so does its page."""
    if existing is None or not existing.shared or invitation.delegated:
        return invitation
    return replace(invitation, email=existing.email, delegated=True)


def origin(scheme: str, host: str, port: int | None) -> str:
    """An origin as RFC 6454 section 6.2 writes it: without the scheme's default port."""
    default = {"http": 80, "https": 443}.get(scheme)
    return f"{scheme}://{host}" if port in {None, default} else f"{scheme}://{host}:{port}"
