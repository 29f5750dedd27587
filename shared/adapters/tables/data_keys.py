"""Wrapped data keys."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.adapters.tables.mapping import from_entity, to_entity
from shared.adapters.tables.table import Table, Write
from shared.domain.data_key import DataKey

PARTITION = "data-keys"


@dataclass(frozen=True, slots=True)
class TableDataKeys:
    """A handful of rows in one partition; their ids sort by age."""

    table: Table

    async def all(self) -> Sequence[DataKey]:
        """Every data key, the oldest first."""
        return [
            from_entity(DataKey, entity) async for entity in self.table.query("PartitionKey eq @in", {"in": PARTITION})
        ]

    async def add(self, data_key: DataKey) -> None:
        """Keep a new data key."""
        await self.table.write([Write("create", to_entity(data_key, PARTITION, data_key.id))])
