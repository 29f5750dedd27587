"""Start a registration: a caller asks for a sign-in link."""

import asyncio
import base64
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.account import Account
from shared.domain.caller import Caller
from shared.domain.errors import InvalidInput, StaleWrite
from shared.domain.formats import correlation_id
from shared.domain.identity import fingerprint
from shared.domain.invited_mailbox import InvitedMailbox
from shared.domain.registration import EXPIRY_EVENT_DELAY, OUTCOME_RETENTION, NewestLink, PendingRegistration
from shared.domain.secret import Secret
from shared.domain.work import Work, WorkKind
from shared.ports import Agenda, Clock, Entropy, OAuthApps, Registrations
from shared.usecases import use_case
from shared.usecases.grants.find_account import FindAccount
from shared.usecases.sign_in.check_invitation import Invitation, invitation_faults

log = logging.getLogger(__name__)

ACCOUNT_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Started:
    """The link, and what it can be asked after by."""

    url: Secret
    registration: str
    accounts: tuple[str, ...]
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

        Raises Forbidden for an account that the caller may not reach; a bound caller has to name each.
        """
        for mailbox in invitation.wanted:
            if mailbox.account:
                caller.require_account(mailbox.account)
        existing = await self._existing(invitation, faults)
        app = await self._app(invitation, existing)
        faults = invitation_faults(invitation, existing, caller, app, self.origins) | dict(faults)
        if faults or app is None or invitation.redirect_url is None:
            raise InvalidInput(faults)
        asked = _completed(invitation, existing)
        ticket = Secret(base64.urlsafe_b64encode(self.entropy(32)).rstrip(b"=").decode())
        now = self.clock()
        registration = PendingRegistration(
            id=fingerprint(ticket),
            mailboxes=tuple(replace(one, account=one.account or new_account_id(self.entropy)) for one in asked.wanted),
            redirect_url=invitation.redirect_url,
            app=app,
            requested_by=caller.id,
            requester=caller.name,
            created=now,
            expires=now + self.lifetime,
            expected_email=invitation.expected_email,
            expected_tenant=invitation.expected_tenant,
            delegated=asked.delegated,
            allow_principal_change=invitation.allow_principal_change,
            change_mailbox=invitation.change_mailbox,
            pinned_to=invitation.principal_id,
            correlation=correlation_id(),
        )
        await asyncio.gather(
            self.agenda.add(Work(WorkKind.REAP, registration.expires + OUTCOME_RETENTION, registration.id)),
            self.agenda.add(Work(WorkKind.EXPIRE, registration.expires + EXPIRY_EVENT_DELAY, registration.id)),
        )
        await self.registrations.insert(registration)
        await self._supersede(registration.id, [one.account for one in invitation.wanted if one.account])
        log.info("registration started", extra={"registration": registration.id, "by": caller.id})
        url = Secret(f"{self.base_url}/accounts/new?ticket={ticket.reveal()}")
        return Started(url, registration.id, tuple(one.account for one in registration.mailboxes), registration.expires)

    async def _existing(self, invitation: Invitation, faults: Mapping[str, str]) -> Sequence[Account | None]:
        async def existing(index: int, mailbox: InvitedMailbox) -> Account | None:
            if not mailbox.account or invitation.key(index, "account") in faults:
                return None
            found = await self.find(mailbox.account)
            return found.account.value if found else None

        return await asyncio.gather(*(existing(index, one) for index, one in enumerate(invitation.wanted)))

    async def _app(self, invitation: Invitation, existing: Sequence[Account | None]) -> str | None:
        """The OAuth app that is asked for, or the accounts', or the only one; empty where the person has to choose.

        Several mailboxes need one that lets a grant serve them all.
        """
        several = len(invitation.wanted) > 1
        enabled = [app.id for app in await self.apps.all() if app.enabled and (app.credential_reuse or not several)]
        if invitation.type:
            # One that is new may not have been noticed here yet.
            app = await self.apps.get(invitation.type)
            return app.id if app is not None and app.enabled and (app.credential_reuse or not several) else None
        theirs = {account.app for account in existing if account is not None}
        if len(theirs) == 1 and theirs <= set(enabled):
            return theirs.pop()
        return "" if len(enabled) > 1 else next(iter(enabled), None)

    async def _supersede(self, registration: str, accounts: Sequence[str]) -> None:
        """Make every earlier link of the accounts worthless.

        One write for each account does it. That the last earlier one says so itself only spares its readers a look, and
        makes it stay so when the newest has been forgotten.
        """
        before = await asyncio.gather(*map(self.registrations.newest, accounts))
        await asyncio.gather(*(self.registrations.make_newest(NewestLink(one, registration)) for one in accounts))
        for earlier in {link.registration for link in before if link is not None}:
            outdated = await self.registrations.get(earlier)
            if outdated is None or len(outdated.value.unsettled_mailboxes) == len(outdated.value.mailboxes):
                continue
            with suppress(StaleWrite):  # somebody follows it right now, and finds out by themselves
                await self.registrations.replace(outdated, outdated.value)
            log.info("registration replaced", extra={"registration": earlier, "by": registration})


def new_account_id(entropy: Entropy) -> str:
    """The id of an account that was asked for without one."""
    return "".join(ACCOUNT_ALPHABET[byte % len(ACCOUNT_ALPHABET)] for byte in entropy(16))


def _completed(invitation: Invitation, existing: Sequence[Account | None]) -> Invitation:
    """Where the form leaves out that the account is a shared mailbox, the invitation says it, and so does its page."""
    if invitation.mailboxes:
        return replace(invitation, delegated=True)
    one = existing[0]
    if one is None or not one.shared or invitation.delegated:
        return invitation
    return replace(invitation, email=one.email, delegated=True, named=False)
