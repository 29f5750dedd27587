"""The index of mailboxes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from shared.adapters.tables.cursor import cursor_of, query_after
from shared.adapters.tables.mapping import Entity, to_entity
from shared.adapters.tables.table import Table, Write
from shared.domain.errors import RowUnreadable
from shared.domain.formats import normalize_address, table_key
from shared.domain.mailbox import BoundMailbox
from shared.domain.ttl_cache import RememberedReads
from shared.ports import Clock, Stored

# An address with more accounts costs a read for each call.
MAX_REMEMBERED_ROWS = 20


@dataclass(frozen=True, slots=True)
class TableMailboxes:
    """The partition key is the address, and the row key the account's id, so that one query finds all its accounts.

    Every write of a row forgets what is remembered of its address.
    """

    table: Table
    remembered: RememberedReads[Sequence[BoundMailbox]]
    clock: Clock

    async def accounts_of(self, address: str) -> Sequence[BoundMailbox]:
        """The readable rows of an address. No rows are not remembered."""
        key, rows = _address_key(address), list[BoundMailbox]()

        async def read() -> Sequence[BoundMailbox] | None:
            entities = self.table.query("PartitionKey eq @address", {"address": key})
            rows.extend([stored.value async for _, stored in self.table.records(BoundMailbox, entities)])
            return rows if 0 < len(rows) <= MAX_REMEMBERED_ROWS else None

        await self.remembered.read(key, self.clock(), read)
        return rows

    def remembered_accounts_of(self, address: str) -> Sequence[BoundMailbox]:
        """The rows of an address that this process has remembered."""
        return self.remembered.get(_address_key(address), self.clock()) or ()

    async def get(self, address: str, account: str) -> Stored[BoundMailbox] | None:
        """A row, by one point read; None if it is unreadable, because it can be written again."""
        with suppress(RowUnreadable):
            return await self.table.read(BoundMailbox, _address_key(address), table_key(account))
        return None

    async def put(self, mailbox: BoundMailbox) -> None:
        """Write a row. Of two writers at the same time, the last one wins; the sweep corrects it."""
        try:
            await self.table.put([_entity(mailbox)])
        finally:  # whatever the answer: without one, the write may have arrived
            self.remembered.forget(_address_key(mailbox.address))

    async def remove(self, stored: Stored[BoundMailbox]) -> None:
        """Delete the version that was read."""
        try:
            await self.table.write([Write("delete", _entity(stored.value), stored.version)])
        finally:  # as above
            self.remembered.forget(_address_key(stored.value.address))

    async def everything(self, after: str | None) -> AsyncIterator[tuple[str, Stored[BoundMailbox]]]:
        """Every readable row in the order of their keys, each with its cursor."""
        entities = query_after(self.table, after, "PartitionKey ge @from", {"from": ""})
        async for entity, stored in self.table.records(BoundMailbox, entities):
            yield cursor_of(entity), stored


def _entity(mailbox: BoundMailbox) -> Entity:
    return to_entity(mailbox, _address_key(mailbox.address), table_key(mailbox.account))


def _address_key(address: str) -> str:
    return table_key(normalize_address(address))
