"""Everything that is sealed at rest, found by how it looks, so that no kind of record can be left out."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from azure.core import MatchConditions
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from shared.adapters.sealing import data_key_of
from shared.adapters.tables.answering import answering
from shared.adapters.tables.mapping import seal_identity
from shared.ports import SealedRow, Sealer


@dataclass(frozen=True, slots=True)
class TableSealedRows:
    """All tables of the app, entity by entity."""

    tables: Sequence[str]
    connect: Callable[[str], TableClient]
    sealer: Sealer

    async def walk(self, table: str) -> AsyncIterator[SealedRow]:
        """Every row of a table that holds sealed values; none when the table was never made."""
        with answering(reading=True):
            async for entity in self.connect(table).list_entities(results_per_page=1000):
                found = {name: data_key_of(value) for name, value in entity.items()}
                sealed = {name: data_key for name, data_key in found.items() if data_key is not None}
                if sealed:
                    place = f"{table}/{entity['PartitionKey']}/{entity['RowKey']}"
                    yield SealedRow(place, entity.metadata["etag"] or "", sealed, entity)

    async def reseal(self, table: str, row: SealedRow) -> None:
        """Seal the row's values anew and merge them into it. Raises StaleWrite when it changed, and SealBroken."""
        keys = {name: row.entity[name] for name in ("PartitionKey", "RowKey")}
        anew = {name: await self._resealed(table, row.entity, name) for name in row.data_keys}
        condition: dict[str, Any] = {"etag": row.version, "match_condition": MatchConditions.IfNotModified}
        with answering():
            await self.connect(table).update_entity({**keys, **anew}, mode=UpdateMode.MERGE, **condition)

    async def _resealed(self, table: str, entity: Mapping[str, Any], name: str) -> str:
        identity = seal_identity(table, entity, name)
        return await self.sealer.seal(identity, await self.sealer.unseal(identity, entity[name]))
