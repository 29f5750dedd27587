"""Probe every mailbox of a grant: access that was taken away is noticed, and so is access given back."""

import logging
from dataclasses import replace

from shared.domain.account import Account, AccountState
from shared.domain.errors import StaleWrite
from shared.domain.event import EventName
from shared.domain.grant import DelegatedGrant
from shared.domain.work import Work
from shared.ports import (
    Agenda,
    Change,
    Clock,
    Entropy,
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
    entropy: Entropy
    jitter: Jitter

    async def __call__(self, stored: Stored[DelegatedGrant]) -> None:
        """Probe all accounts of the grant, write down what changed, and plan the next time. Raises StaleWrite."""
        partition = await self.principals.partition(stored.value.principal.id)
        lost = False
        for account in partition.served_by(stored.value.app):
            probed, stored = await self.one(account, stored)
            lost |= probed.lost_mailbox
        after = stored.value.probed(lost=lost, now=self.clock(), jitter=self.jitter())
        if after.due is not None:
            await self.agenda.add(Work(after.work, after.due, after.principal.id, after.app))
        await self.principals.commit(after.principal.id, [Replace(after, stored.version)])

    async def one(
        self, stored: Stored[Account], grant: Stored[DelegatedGrant]
    ) -> tuple[Account, Stored[DelegatedGrant]]:
        """Probe one account's mailbox; both as they are now. An outage changes nothing. Raises StaleWrite."""
        account, tokens = stored.value, grant.value
        app = await self.apps.get(tokens.app)
        if app is None:
            return account, grant  # deleted just now: the next refresh says so
        try:
            opened = await self.probes[tokens.resource].open(
                app, tokens.access_token, account.email, shared=account.shared
            )
        except MailboxRefused as refused:
            after = account.troubled(AccountState.CONNECT_ERROR, refused.refusal.value, self.clock())
        except MailboxUnavailable:
            return account, grant
        else:
            after = account.opened(opened, self.clock())
        return (account, grant) if after == account else await self._write(stored, after, grant)

    async def _write(
        self, stored: Stored[Account], after: Account, grant: Stored[DelegatedGrant]
    ) -> tuple[Account, Stored[DelegatedGrant]]:
        """Write it down, and have every instance read the account again where that decides about its hand-outs."""
        before, news, held = stored.value, _news(stored.value, after), grant.value
        after, told = await self.outbox.tell(after, news)
        changes: list[Change] = [Replace(after, stored.version), *told]
        decides = (before.replaced_since is None) is not (after.replaced_since is None)
        if decides:
            held = replace(held, bindings=self.entropy(8).hex())
            changes.append(Replace(held, grant.version))
        try:
            versions = await self.principals.commit(after.principal_id, changes)
        except StaleWrite:
            if decides:
                raise
            return before, grant  # Somebody else wrote about this account just now; the next probe looks again.
        self.tally.moved(before, after)
        log.info("mailbox probed", extra={"principal": after.principal_id, "state": after.state, "event": news})
        return after, Stored(held, versions[-1]) if decides else grant


def _news(before: Account, after: Account) -> list[EventName]:
    if (before.state, before.last_error) == (after.state, after.last_error):
        return []
    return [EventName.CONNECT_ERROR if after.last_error else EventName.CONNECT_SUCCESS]
