"""Probe every mailbox of a grant: access that was taken away is noticed, and so is access given back."""

import logging

from shared.domain.account import Account, AccountState
from shared.domain.errors import StaleWrite
from shared.domain.event import EventName
from shared.domain.grant import DelegatedGrant
from shared.domain.work import Work
from shared.ports import (
    Agenda,
    Clock,
    Jitter,
    MailboxProbes,
    MailboxRefused,
    MailboxUnavailable,
    OAuthApps,
    Principals,
    Replace,
    Stored,
)
from shared.usecases import use_case
from shared.usecases.events.outbox import Outbox
from shared.usecases.grants.tally import Tally

log = logging.getLogger(__name__)


@use_case
class ProbeMailboxes:
    """Needs a good access token for the resource that the grant lives by."""

    principals: Principals
    agenda: Agenda
    apps: OAuthApps
    probes: MailboxProbes
    outbox: Outbox
    tally: Tally
    clock: Clock
    jitter: Jitter

    async def __call__(self, stored: Stored[DelegatedGrant]) -> None:
        """Probe all accounts of the grant, write down what changed, and plan the next time."""
        grant = stored.value
        partition = await self.principals.partition(grant.principal.id)
        lost = False
        for account in partition.served_by(grant.app):
            lost |= (await self.one(account, grant)).lost_mailbox
        after = grant.probed(lost=lost, now=self.clock(), jitter=self.jitter())
        if after.due is not None:
            await self.agenda.add(Work(after.work, after.due, grant.principal.id, grant.app))
        await self.principals.commit(grant.principal.id, [Replace(after, stored.version)])

    async def one(self, stored: Stored[Account], grant: DelegatedGrant) -> Account:
        """Probe one account's mailbox; returns the account as it is now. An outage changes nothing."""
        account = stored.value
        app = await self.apps.get(grant.app)
        if app is None:
            return account  # deleted just now: the next refresh says so
        probe = self.probes[grant.resource]
        try:
            await probe.open(app, grant.access_token, account.email, shared=account.shared)
        except MailboxRefused as refused:
            after = account.troubled(AccountState.CONNECT_ERROR, refused.refusal.value, self.clock())
            return await self._write(stored, after, EventName.CONNECT_ERROR)
        except MailboxUnavailable:
            return account
        return await self._write(
            stored, account.recovered() if account.lost_mailbox else account, EventName.CONNECT_SUCCESS
        )

    async def _write(self, stored: Stored[Account], after: Account, news: EventName) -> Account:
        if after == stored.value:
            return after
        after, told = await self.outbox.tell(after, [news])
        try:
            await self.principals.commit(after.principal_id, [Replace(after, stored.version), *told])
        except StaleWrite:
            return stored.value  # Somebody else wrote about this account just now; the next probe looks again.
        self.tally.moved(stored.value, after)
        log.info("mailbox probed", extra={"principal": after.principal_id, "state": after.state, "event": news})
        return after
