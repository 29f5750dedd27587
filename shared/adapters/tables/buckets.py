"""Buckets that all instances share, and the salts that hide whose they are."""

import asyncio
from datetime import UTC, datetime
from itertools import batched

from shared.adapters.tables.rows import TableRows
from shared.adapters.tables.table import Table
from shared.domain.limit import Bucket

AT_ONCE = 64


class TableBuckets(TableRows[Bucket]):
    """One row for each bucket; rows live for minutes."""

    def __init__(self, table: Table) -> None:
        super().__init__(table, Bucket, "id", disposable=True)

    async def forget_empty(self, now: datetime) -> int:
        """Delete a page of what was empty before now, salts of earlier days too."""
        where, before = "empty_at lt @now", {"now": now.astimezone(UTC).isoformat()}
        found = await self.table.first(where, before, ["PartitionKey"], 1000)
        for some in batched(found, AT_ONCE, strict=False):
            await asyncio.gather(*(self.table.drop(row["PartitionKey"], [""]) for row in some))
        return len(found)
