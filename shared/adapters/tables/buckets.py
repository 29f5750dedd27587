"""Buckets that all instances share, and the salts that hide whose they are."""

import asyncio
from datetime import UTC, datetime

from shared.adapters.tables.rows import TableRows
from shared.adapters.tables.table import Table
from shared.domain.limit import Bucket

AT_ONCE = 64


class TableBuckets(TableRows[Bucket]):
    """One row for each bucket; rows live for minutes."""

    def __init__(self, table: Table) -> None:
        super().__init__(table, Bucket, "id", disposable=True)

    async def forget_empty(self, now: datetime) -> int:
        """Delete whatever was empty before now, salts of earlier days too.

        It looks at the whole table, which holds what the last quarter of an hour brought.
        """
        where, before = "empty_at lt @now", {"now": now.astimezone(UTC).isoformat()}
        found = [row["PartitionKey"] async for row in self.table.query(where, before, select=["PartitionKey"])]
        for start in range(0, len(found), AT_ONCE):
            await asyncio.gather(*(self.table.drop(partition, [""]) for partition in found[start : start + AT_ONCE]))
        return len(found)
