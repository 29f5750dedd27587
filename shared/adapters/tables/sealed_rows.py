"""All sealed rows, for a key rotation."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from azure.core import MatchConditions
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from shared.adapters.sealing import named_data_key
from shared.adapters.tables.mapping import seal_identity
from shared.adapters.tables.row_secrets import SEALED_KINDS, joined, sealed_names, split
from shared.adapters.tables.service_errors import translated_errors
from shared.domain.errors import KeyRefused, SealBroken
from shared.domain.secret import Secret
from shared.ports import SealedRow, Sealer


@dataclass(frozen=True, slots=True)
class TableSealedRows:
    """The rows of all tables that hold secrets."""

    connect: Callable[[str], TableClient]
    sealer: Sealer

    @property
    def tables(self) -> Sequence[str]:
        """The names of the tables."""
        return list(SEALED_KINDS)

    async def walk(self, table: str) -> AsyncIterator[SealedRow]:
        """Every row of a table that holds sealed values; none when the table does not exist."""
        with translated_errors(reading=True):
            async for entity in self.connect(table).list_entities(results_per_page=1000):
                names = sealed_names(table, entity["RowKey"]) & entity.keys()
                if names:
                    place = f"{table}/{entity['PartitionKey']}/{entity['RowKey']}"
                    data_keys = {name: named_data_key(entity[name]) for name in sorted(names)}
                    yield SealedRow(place, entity.metadata["etag"] or "", data_keys, entity)

    async def reseal(self, table: str, row: SealedRow, names: Sequence[str]) -> Sequence[str]:
        """Seal these properties under the newest data key and merge them into the row.

        Returns the names of those that cannot be unsealed, which stay as they are. Raises StaleWrite when the row
        changed.
        """
        secrets = {name: await self._unsealed(table, row, name) for name in names}
        resealed: dict[str, str] = {}
        for name, secret in secrets.items():
            if secret is not None:
                # Resealed text has the same length and number of parts, so the merge leaves no old part behind.
                resealed |= split(name, await self.sealer.seal(seal_identity(table, row.entity, name), secret))
        if resealed:
            keys = {name: row.entity[name] for name in ("PartitionKey", "RowKey")}
            condition: dict[str, Any] = {"etag": row.version, "match_condition": MatchConditions.IfNotModified}
            with translated_errors():
                await self.connect(table).update_entity({**keys, **resealed}, mode=UpdateMode.MERGE, **condition)
        return [name for name in names if name not in resealed]

    async def _unsealed(self, table: str, row: SealedRow, name: str) -> Secret | None:
        """The secret, or None when it cannot be unsealed or its data key may not be used."""
        try:
            return await self.sealer.unseal(seal_identity(table, row.entity, name), joined(row.entity, name))
        except (SealBroken, KeyRefused):
            return None
