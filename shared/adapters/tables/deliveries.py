"""Events on their way to targets."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import batched

from shared.adapters.tables.mapping import to_entity
from shared.adapters.tables.table import Table, Write
from shared.domain.formats import table_key
from shared.domain.webhook import Delivery
from shared.ports import Stored

AT_ONCE = 100  # rows of one transaction (Table service: entity group transactions)
FORGOTTEN_AT_ONCE = 1000
BEHIND = "z"  # sorts behind all ids, which are hexadecimal
WAITING, PARKED = "waiting~", "parked~"


@dataclass(frozen=True, slots=True)
class TableDeliveries:
    """One partition for each webhook; row keys say whether a delivery waits or is parked, and sort by event."""

    table: Table

    async def put(self, deliveries: Sequence[Delivery]) -> None:
        """Batch by batch, so that an earlier one is always there before a later one is."""
        for batch in batched(deliveries, AT_ONCE, strict=False):
            await self.table.put([to_entity(one, table_key(one.webhook), _row(one)) for one in batch])

    async def waiting(self, webhook: str, after: Delivery | None, limit: int) -> Sequence[Stored[Delivery]]:
        """In one read, which sees one moment of the partition (Table service: snapshot isolation of a query)."""
        return await self._read(webhook, WAITING, _row(after) if after else WAITING, limit)

    async def parked(self, webhook: str, limit: int) -> Sequence[Stored[Delivery]]:
        """The oldest ones."""
        return await self._read(webhook, PARKED, PARKED, limit)

    async def replace(self, stored: Stored[Delivery], delivery: Delivery) -> None:
        """In place, or by a transaction that moves it."""
        partition = table_key(delivery.webhook)
        before, now = _row(stored.value), _row(delivery)
        entity = to_entity(delivery, partition, now)
        if before == now:
            await self.table.write([Write("update", entity, stored.version)])
        else:
            left = Write("delete", to_entity(stored.value, partition, before), stored.version)
            await self.table.write([Write("create", entity), left])

    async def remove(self, stored: Stored[Delivery]) -> None:
        """Delete the version that was read."""
        entity = to_entity(stored.value, table_key(stored.value.webhook), _row(stored.value))
        await self.table.write([Write("delete", entity, stored.version)])

    async def forget(self, webhook: str) -> bool:
        """Delete a page of all that waits or is parked."""
        found = await self.table.first("PartitionKey eq @of", {"of": table_key(webhook)}, ["RowKey"], FORGOTTEN_AT_ONCE)
        for rows in batched(found, AT_ONCE, strict=False):
            await self.table.drop(table_key(webhook), [row["RowKey"] for row in rows])
        return len(found) < FORGOTTEN_AT_ONCE

    async def _read(self, webhook: str, kind: str, after: str, limit: int) -> Sequence[Stored[Delivery]]:
        where = "PartitionKey eq @of and RowKey gt @after and RowKey lt @end"
        bounds = {"of": table_key(webhook), "after": after, "end": f"{kind}~"}
        found: list[Stored[Delivery]] = []
        async for _, stored in self.table.records(Delivery, self.table.query(where, bounds, page=limit)):
            found.append(stored)
            if len(found) == limit:
                break
        return found


def _row(delivery: Delivery) -> str:
    if delivery.parked:
        return f"{PARKED}{delivery.id}"
    return f"{WAITING}{BEHIND if delivery.can_wait else ''}{delivery.id}"
