"""Probe every mailbox of a grant: access that was taken away is noticed, and so is access given back."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.account import Account, AccountState
from shared.domain.errors import StaleWrite
from shared.domain.event import EventName
from shared.domain.grant import DelegatedGrant, ProbeProgress
from shared.domain.identity import table_key
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

AT_ONCE = 8
WRITTEN_EACH = 16  # accounts
# An access token that is good when a probe begins is so at its end, and other rows of the run get their turn.
LASTS = timedelta(seconds=30)


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

    async def __call__(self, stored: Stored[DelegatedGrant], until: datetime) -> None:
        """Probe the accounts of the grant, write down what changed, and plan the next time.

        Some at a time, each time written down; after `until`, or when this probe has lasted for long enough, the rest
        is planned for a moment later. Raises StaleWrite when somebody else has written the grant.
        """
        grant = stored.value
        until = min(until, self.clock() + LASTS)
        partition = await self.principals.partition(grant.principal.id)
        behind, lost = (grant.probing.behind, grant.probing.lost) if grant.probing else ("", False)
        found = {table_key(account.value.id): account for account in partition.served_by(grant.app)}
        left = sorted(name for name in found if name > behind)
        while left:
            some, left = left[:WRITTEN_EACH], left[WRITTEN_EACH:]
            lost_now, stored = await self._some([found[name] for name in some], stored)
            lost |= lost_now
            if left:
                after, now = replace(stored.value, probing=ProbeProgress(some[-1], lost)), self.clock()
                if now >= until:
                    await self._plan(stored, after.scheduled(now, self.jitter()))
                    return
                stored = Stored(after, await self._write_grant(stored, after))
        await self._plan(stored, stored.value.after_probe(lost=lost, now=self.clock(), jitter=self.jitter()))

    async def _some(
        self, accounts: Sequence[Stored[Account]], grant: Stored[DelegatedGrant]
    ) -> tuple[bool, Stored[DelegatedGrant]]:
        """Look at these side by side, and write down what changed; whether a mailbox is lost, and the grant then."""
        slots, lost = asyncio.Semaphore(AT_ONCE), False

        async def in_turn(account: Stored[Account]) -> Account:
            async with slots:
                return await self._looked(account.value, grant.value)

        for before, after in zip(accounts, await asyncio.gather(*map(in_turn, accounts)), strict=True):
            probed, grant = await self._write(before, after, grant)
            lost |= probed.has_mailbox_error
        return lost, grant

    async def _plan(self, stored: Stored[DelegatedGrant], after: DelegatedGrant) -> None:
        if after.due is not None:
            await self.agenda.add(Work(after.work, after.due, after.principal.id, after.app))
        await self._write_grant(stored, after)

    async def _write_grant(self, stored: Stored[DelegatedGrant], after: DelegatedGrant) -> str:
        return (await self.principals.commit(after.principal.id, [Replace(after, stored.version)]))[0]

    async def one(
        self, stored: Stored[Account], grant: Stored[DelegatedGrant]
    ) -> tuple[Account, Stored[DelegatedGrant]]:
        """Probe one account's mailbox; both as they are now. An outage changes nothing. Raises StaleWrite."""
        return await self._write(stored, await self._looked(stored.value, grant.value), grant)

    async def _looked(self, account: Account, tokens: DelegatedGrant) -> Account:
        """The account after a look at its mailbox."""
        app = await self.apps.get(tokens.app)
        if app is None:
            return account  # deleted just now: the next refresh says so
        try:
            opened = await self.probes[tokens.resource].open(
                app, tokens.access_token, account.email, shared=account.shared
            )
        except MailboxRefused as refused:
            return account.with_error(AccountState.CONNECT_ERROR, refused.refusal.value, self.clock())
        except MailboxUnavailable:
            return account
        return account.after_probe(opened, self.clock())

    async def _write(
        self, stored: Stored[Account], after: Account, grant: Stored[DelegatedGrant]
    ) -> tuple[Account, Stored[DelegatedGrant]]:
        """Write it down, and have every instance read the account again where that decides about its hand-outs."""
        before, news, held = stored.value, _news(stored.value, after), grant.value
        if after == before:
            return before, grant
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
