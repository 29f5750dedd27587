"""Wrapped data keys."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.adapters.tables.mapping import Entity, to_entity
from shared.adapters.tables.table import Table, Write
from shared.domain.secret import DataKey
from shared.ports import Stored

PARTITION = "data-keys"


@dataclass(frozen=True, slots=True)
class TableDataKeys:
    """A handful of rows in one partition; their ids sort by age."""

    table: Table

    async def all(self) -> Sequence[Stored[DataKey]]:
        """Every data key, the oldest first."""
        found = self.table.query("PartitionKey eq @in", {"in": PARTITION})
        return [await self.table.record(DataKey, entity) async for entity in found]

    async def add(self, data_key: DataKey) -> None:
        """Keep a new data key."""
        await self.table.write([Write("create", _entity(data_key))])

    async def replace(self, stored: Stored[DataKey], data_key: DataKey) -> None:
        """Write a data key over the version that was read."""
        await self.table.write([Write("update", _entity(data_key), stored.version)])

    async def remove(self, stored: Stored[DataKey]) -> None:
        """Delete the version that was read."""
        await self.table.write([Write("delete", _entity(stored.value), stored.version)])


def _entity(data_key: DataKey) -> Entity:
    return to_entity(data_key, PARTITION, data_key.id)
