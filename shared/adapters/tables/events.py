"""Events: the outboxes that hold them, and their deliveries to webhooks."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import batched

from shared.adapters.tables.mapping import to_entity
from shared.adapters.tables.table import MAX_TRANSACTION_ROWS, Table, Write
from shared.domain.event import Event, Origin
from shared.domain.formats import table_key
from shared.domain.webhook import Delivery
from shared.ports import Stored

MAX_DELIVERIES_DELETED = 1000  # in one call of `forget`
# Row keys of deliveries that can wait sort after all others, because ids are hexadecimal.
CAN_WAIT_PREFIX = "z"
WAITING, PARKED = "waiting~", "parked~"


@dataclass(frozen=True, slots=True)
class TableOutboxes:
    """Events, each in the partition of the record that it is about. The row key is `event~` and the event's id."""

    tables: Mapping[Origin, Table]

    async def read(self, origin: Origin, owner: str, event: str) -> Event | None:
        """An event, by one point read."""
        stored = await self.tables[origin].read(Event, table_key(owner), f"event~{event}")
        return stored.value if stored else None

    async def forget(self, events: Sequence[Event]) -> None:
        """Delete events, those of one partition together."""
        rows: dict[tuple[Origin, str], list[str]] = {}
        for event in events:
            rows.setdefault((event.origin, table_key(event.owner)), []).append(f"event~{event.id}")
        await asyncio.gather(
            *(
                self.tables[origin].drop(partition, batch)
                for (origin, partition), row_keys in rows.items()
                for batch in batched(row_keys, MAX_TRANSACTION_ROWS, strict=False)
            )
        )


@dataclass(frozen=True, slots=True)
class TableDeliveries:
    """One partition for each webhook. Row keys say whether a delivery waits or is parked, and sort by event."""

    table: Table

    async def put(self, deliveries: Sequence[Delivery]) -> None:
        """Write batch by batch, so that a delivery is never there before an earlier one."""
        for batch in batched(deliveries, MAX_TRANSACTION_ROWS, strict=False):
            await self.table.put([to_entity(one, table_key(one.webhook), _row_key(one)) for one in batch])

    async def waiting(self, webhook: str, after: Delivery | None, limit: int) -> Sequence[Stored[Delivery]]:
        """Waiting deliveries of one moment: a query sees a snapshot of the partition (Table service)."""
        return await self._read(webhook, WAITING, _row_key(after) if after else WAITING, limit)

    async def parked(self, webhook: str, limit: int) -> Sequence[Stored[Delivery]]:
        """The oldest parked deliveries."""
        return await self._read(webhook, PARKED, PARKED, limit)

    async def replace(self, stored: Stored[Delivery], delivery: Delivery) -> None:
        """Write a delivery in place, or move it in one transaction."""
        partition = table_key(delivery.webhook)
        old_key, new_key = _row_key(stored.value), _row_key(delivery)
        entity = to_entity(delivery, partition, new_key)
        if old_key == new_key:
            await self.table.write([Write("update", entity, stored.version)])
        else:
            removal = Write("delete", to_entity(stored.value, partition, old_key), stored.version)
            await self.table.write([Write("create", entity), removal])

    async def remove(self, stored: Stored[Delivery]) -> None:
        """Delete the version that was read."""
        entity = to_entity(stored.value, table_key(stored.value.webhook), _row_key(stored.value))
        await self.table.write([Write("delete", entity, stored.version)])

    async def forget(self, webhook: str) -> bool:
        """Delete up to MAX_DELIVERIES_DELETED deliveries of a webhook. Returns whether none are left."""
        where, parameters = "PartitionKey eq @webhook", {"webhook": table_key(webhook)}
        rows = await self.table.first(where, parameters, ["RowKey"], MAX_DELIVERIES_DELETED)
        for batch in batched(rows, MAX_TRANSACTION_ROWS, strict=False):
            await self.table.drop(table_key(webhook), [row["RowKey"] for row in batch])
        return len(rows) < MAX_DELIVERIES_DELETED

    async def _read(self, webhook: str, prefix: str, after: str, limit: int) -> Sequence[Stored[Delivery]]:
        where = "PartitionKey eq @webhook and RowKey gt @after and RowKey lt @end"
        parameters = {"webhook": table_key(webhook), "after": after, "end": f"{prefix}~"}
        deliveries: list[Stored[Delivery]] = []
        async for _, stored in self.table.records(Delivery, self.table.query(where, parameters, page=limit)):
            deliveries.append(stored)
            if len(deliveries) == limit:
                break
        return deliveries


def _row_key(delivery: Delivery) -> str:
    if delivery.parked:
        return f"{PARKED}{delivery.id}"
    return f"{WAITING}{CAN_WAIT_PREFIX if delivery.can_wait else ''}{delivery.id}"
