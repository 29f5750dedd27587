"""Everything that is sealed at rest, for a rotation."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from azure.core import MatchConditions
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from shared.adapters.sealing import named_data_key
from shared.adapters.tables.answering import answering
from shared.adapters.tables.mapping import seal_identity
from shared.adapters.tables.sealed_kinds import SEALED_KINDS, sealed_names
from shared.adapters.tables.sealed_parts import parted, whole
from shared.domain.errors import KeyRefused, SealBroken
from shared.domain.secret import Secret
from shared.ports import SealedRow, Sealer


@dataclass(frozen=True, slots=True)
class TableSealedRows:
    """All tables that hold secrets, entity by entity."""

    connect: Callable[[str], TableClient]
    sealer: Sealer

    @property
    def tables(self) -> Sequence[str]:
        """Their names."""
        return list(SEALED_KINDS)

    async def walk(self, table: str) -> AsyncIterator[SealedRow]:
        """Every row of a table that holds sealed values; none when the table was never made."""
        with answering(reading=True):
            async for entity in self.connect(table).list_entities(results_per_page=1000):
                names = sealed_names(table, entity["RowKey"]) & entity.keys()
                if names:
                    place = f"{table}/{entity['PartitionKey']}/{entity['RowKey']}"
                    data_keys = {name: named_data_key(entity[name]) for name in sorted(names)}
                    yield SealedRow(place, entity.metadata["etag"] or "", data_keys, entity)

    async def reseal(self, table: str, row: SealedRow, names: Sequence[str]) -> Sequence[str]:
        """Seal these properties under the newest data key and merge them into the row; those that do not decrypt stay.

        Returns the names of the latter. Raises StaleWrite when the row changed.
        """
        opened = {name: await self._opened(table, row, name) for name in names}
        resealed: dict[str, str] = {}
        for name, secret in opened.items():
            if secret is not None:
                # As long as before, and so in as many parts: none is left over from the merge.
                resealed |= parted(name, await self.sealer.seal(seal_identity(table, row.entity, name), secret))
        if resealed:
            keys = {name: row.entity[name] for name in ("PartitionKey", "RowKey")}
            condition: dict[str, Any] = {"etag": row.version, "match_condition": MatchConditions.IfNotModified}
            with answering():
                await self.connect(table).update_entity({**keys, **resealed}, mode=UpdateMode.MERGE, **condition)
        return [name for name in names if name not in resealed]

    async def _opened(self, table: str, row: SealedRow, name: str) -> Secret | None:
        """The secret, or None when it does not decrypt or its data key may not be opened."""
        try:
            return await self.sealer.unseal(seal_identity(table, row.entity, name), whole(row.entity, name))
        except (SealBroken, KeyRefused):
            return None
