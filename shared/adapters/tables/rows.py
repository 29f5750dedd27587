"""Tables of single rows: the directory, API tokens, OAuth apps, webhooks, rate limit buckets, data keys and others."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import batched

from shared.adapters.tables.mapping import Entity, to_entity
from shared.adapters.tables.row_secrets import Unsealing
from shared.adapters.tables.table import Table, Write
from shared.domain.errors import RowUnreadable, SealBroken
from shared.domain.event import Event
from shared.domain.formats import table_key
from shared.domain.limit import Bucket
from shared.domain.oauth_app import RegisteredApp
from shared.domain.secret import DataKey
from shared.ports import Stored, retry_on_conflict

EARLIEST = datetime.min.replace(tzinfo=UTC)
MAX_BUCKETS_DELETED = 1000  # in one call of `forget_empty`
MAX_CONCURRENT_DELETES = 64
DATA_KEYS_PARTITION = "data-keys"


@dataclass(frozen=True, slots=True)
class TableRows[T]:
    """One record for each identity: the partition key is the identity, the row key is empty."""

    table: Table
    kind: type[T]
    field: str
    unsealing: Unsealing = Unsealing.NOW
    disposable: bool = False

    async def get(self, identity: str) -> Stored[T] | None:
        """The record, or None. Raises RowUnreadable and SealBroken; a `disposable` row is deleted instead."""
        try:
            return await self.table.read(self.kind, table_key(identity), "", self.unsealing)
        except (RowUnreadable, SealBroken) as error:
            if not self.disposable:
                raise
            if isinstance(error, SealBroken):
                self.table.unreadable({"PartitionKey": table_key(identity), "RowKey": ""})
            await self.table.drop(table_key(identity), [""])
            return None

    async def all(self) -> Sequence[T]:
        """Every readable record, for tables that hold few records and no others."""
        entities = self.table.query("PartitionKey ge @from", {"from": ""})
        return [stored.value async for _, stored in self.table.records(self.kind, entities, self.unsealing)]

    async def insert(self, value: T, events: Sequence[Event] = ()) -> Stored[T]:
        """Add a record."""
        return Stored(value, await self._write(Write("create", self._entity(value)), events))

    async def replace(self, stored: Stored[T], value: T, events: Sequence[Event] = ()) -> Stored[T]:
        """Write a record over the version that was read."""
        return Stored(value, await self._write(Write("update", self._entity(value), stored.version), events))

    async def put(self, stored: Stored[T] | None, value: T, events: Sequence[Event] = ()) -> Stored[T]:
        """Insert where there was no row; otherwise replace the version that was read."""
        return await (self.insert(value, events) if stored is None else self.replace(stored, value, events))

    async def update[N: None](self, identity: str, change: Callable[[T | None], T | N]) -> T | N:
        """Change one row; `change` may run several times. Raises Conflict after MAX_WRITE_ATTEMPTS."""

        async def attempt() -> T | N:
            stored = await self.get(identity)
            before = stored.value if stored else None
            after = change(before)
            if after is not None and after is not before:
                await self.put(stored, after)
            return after

        return await retry_on_conflict(attempt)

    async def remove(self, stored: Stored[T], events: Sequence[Event] = ()) -> None:
        """Delete the version that was read."""
        await self._write(Write("delete", self._entity(stored.value), stored.version), events)

    async def _write(self, change: Write, events: Sequence[Event]) -> str:
        """Write a record with events about it, which share its partition. Returns the record's new version."""
        partition = change.entity["PartitionKey"]
        inserts = [Write("create", to_entity(event, partition, f"event~{event.id}")) for event in events]
        return (await self.table.write([change, *inserts]))[0]

    def _entity(self, value: T) -> Entity:
        return to_entity(value, table_key(getattr(value, self.field)), "")


class TableOAuthApps(TableRows[RegisteredApp]):
    """OAuth apps; few enough to read all of them.

    An app whose credentials cannot be unsealed comes without them, so that an operator can replace them.
    """

    def __init__(self, table: Table) -> None:
        super().__init__(table, RegisteredApp, "id", Unsealing.IF_POSSIBLE)

    async def get(self, identity: str) -> Stored[RegisteredApp] | None:
        """The app with exactly that id: ids are case-sensitive, unlike keys."""
        stored = await super().get(identity)
        return stored if stored and stored.value.id == identity else None

    async def all(self) -> Sequence[RegisteredApp]:
        """Every app, the oldest first."""
        return sorted(await super().all(), key=lambda app: (app.created or EARLIEST, app.id))


class TableBuckets(TableRows[Bucket]):
    """Rate limit buckets that all instances share, and their salts; rows live for minutes."""

    def __init__(self, table: Table) -> None:
        super().__init__(table, Bucket, "id", disposable=True)

    async def forget_empty(self, now: datetime) -> int:
        """Delete empty buckets and salts of earlier days, at most MAX_BUCKETS_DELETED. Returns how many."""
        where, parameters = "empty_at lt @now", {"now": now.astimezone(UTC).isoformat()}
        rows = await self.table.first(where, parameters, ["PartitionKey"], MAX_BUCKETS_DELETED)
        for batch in batched(rows, MAX_CONCURRENT_DELETES, strict=False):
            await asyncio.gather(*(self.table.drop(row["PartitionKey"], [""]) for row in batch))
        return len(rows)


@dataclass(frozen=True, slots=True)
class TableDataKeys:
    """Wrapped data keys: a few rows in one partition, whose ids sort by age."""

    table: Table

    async def all(self) -> Sequence[Stored[DataKey]]:
        """Every data key, the oldest first."""
        entities = self.table.query("PartitionKey eq @partition", {"partition": DATA_KEYS_PARTITION})
        return [await self.table.record(DataKey, entity) async for entity in entities]

    async def add(self, data_key: DataKey) -> None:
        """Add a new data key."""
        await self.table.write([Write("create", _data_key_entity(data_key))])

    async def replace(self, stored: Stored[DataKey], data_key: DataKey) -> None:
        """Write a data key over the version that was read."""
        await self.table.write([Write("update", _data_key_entity(data_key), stored.version)])

    async def remove(self, stored: Stored[DataKey]) -> None:
        """Delete the version that was read."""
        await self.table.write([Write("delete", _data_key_entity(stored.value), stored.version)])


def _data_key_entity(data_key: DataKey) -> Entity:
    return to_entity(data_key, DATA_KEYS_PARTITION, data_key.id)
