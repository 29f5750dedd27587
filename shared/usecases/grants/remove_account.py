"""Remove an account; the last account of a grant takes the tokens with it."""

import logging
from contextlib import suppress
from dataclasses import dataclass, replace

from shared.domain.account import Account
from shared.domain.errors import Conflict, StaleWrite
from shared.domain.event import EventName
from shared.domain.grant import DelegatedGrant
from shared.domain.identity import table_key
from shared.ports import Change, Clock, Directory, Entropy, Partition, Principals, Registrations, Remove, Replace
from shared.usecases import use_case
from shared.usecases.events.outbox import Outbox
from shared.usecases.grants.find_account import FindAccount, Found
from shared.usecases.grants.tally import Tally

log = logging.getLogger(__name__)

TRIES = 8


@dataclass(frozen=True, slots=True)
class Removed:
    """How many other accounts the grant still serves; without any, its tokens are deleted."""

    still_served: int


@use_case
class RemoveAccount:
    """Truth first, directory second: an entry that leads nowhere is no account, and its id is free."""

    principals: Principals
    directory: Directory
    registrations: Registrations
    find: FindAccount
    outbox: Outbox
    tally: Tally
    clock: Clock
    entropy: Entropy

    async def __call__(self, account: str) -> Removed:
        """Remove it and end its open links, or raise NotFound. A link that is made later works."""
        found = await self.find.known(account)
        await self.registrations.end_links(account)
        removed = await self.leftover(found.account.value, tell=True)
        with suppress(StaleWrite):  # somebody claims the id anew already, and theirs is the entry now
            await self.directory.remove(found.entry)
            await self._unconfirmed(found)
        log.info("account removed", extra={"principal": found.account.value.principal_id})
        return removed

    async def leftover(self, account: Account, *, tell: bool = False, as_seen: bool = False) -> Removed:
        """Remove the account's row from its principal's partition, and the grant with the last one.

        `as_seen` leaves a row alone that has changed since.
        """
        for _ in range(TRIES):
            partition = await self.principals.partition(account.principal_id)
            changes = self._changes(account, partition, as_seen=as_seen)
            removed = Removed(len(partition.served_by(account.app)) - len(changes[:1]))
            if not changes:
                return removed
            if tell:
                # The row goes, and what its last event was goes with it: the event must be in the same transaction.
                held = partition.accounts[table_key(account.id)].value
                changes += (await self.outbox.tell(held, [EventName.ACCOUNT_DELETED]))[1]
            try:
                await self.principals.commit(account.principal_id, changes)
            except StaleWrite:
                continue
            for change in changes:
                if isinstance(change, Remove) and isinstance(change.record, (Account, DelegatedGrant)):
                    self.tally.moved(change.record, None)
            return removed
        raise Conflict("The account is being changed by others; try again")

    async def _unconfirmed(self, found: Found) -> None:
        """The row of somebody who was taking the account over when their process died."""
        claim = found.entry.value.claim
        if claim is None or claim.principal_id == found.account.value.principal_id:
            return
        theirs = await self.principals.account(claim.principal_id, found.account.value.id)
        if theirs is not None:
            await self.leftover(theirs.value, as_seen=True)

    def _changes(self, account: Account, partition: Partition, *, as_seen: bool) -> list[Change]:
        mine = partition.accounts.get(table_key(account.id))
        if mine is None or (as_seen and mine.value != account):
            return []
        changes: list[Change] = [Remove(mine.value, mine.version)]
        grant = partition.grants.get(mine.value.app)
        if grant is not None:
            last = len(partition.served_by(mine.value.app)) == 1
            left = replace(grant.value, bindings=self.entropy(8).hex())
            changes.append(Remove(grant.value, grant.version) if last else Replace(left, grant.version))
        if partition.bindings is not None:
            known, version = partition.bindings.value, partition.bindings.version
            left_over = replace(known, changed=self.clock())
            changes.append(Remove(known, version) if len(partition.accounts) == 1 else Replace(left_over, version))
        return changes
