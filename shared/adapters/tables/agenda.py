"""The agenda: an index of what is due when, in shards."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.adapters.tables.mapping import from_entity, to_entity
from shared.adapters.tables.table import Table
from shared.domain.keys import key
from shared.domain.work import Work, WorkKind

PAGE = 100
REAP_SHARD = "reap"


@dataclass(frozen=True, slots=True)
class TableAgenda:
    """Row keys begin with the due time, zero-padded, so that what is due is a range and the oldest comes first.

    Work of one owner stays in one shard. Reaping has a shard of its own, because it has a timer of its own.
    """

    table: Table
    count: int

    @property
    def shards(self) -> Sequence[str]:
        """The shards that hold work for grants."""
        return [f"{number:03d}" for number in range(self.count)]

    async def add(self, work: Work) -> None:
        """A row follows from its work, so adding it twice changes nothing."""
        await self.table.put(to_entity(work, self._shard(work), _row(work)))

    async def remove(self, work: Work) -> None:
        """Work that is gone already is fine."""
        await self.table.drop(self._shard(work), _row(work))

    async def due(self, shard: str, until: datetime, after: Work | None) -> Sequence[Work]:
        """A page of what is due, oldest first."""
        bounds = {
            "shard": shard,
            "end": _moment(until + timedelta(milliseconds=1)),
            "after": _row(after) if after else "",
        }
        where = "PartitionKey eq @shard and RowKey gt @after and RowKey lt @end"
        return [from_entity(Work, entity) async for entity in self.table.query(where, bounds, limit=PAGE)]

    def _shard(self, work: Work) -> str:
        if work.kind is WorkKind.REAP:
            return REAP_SHARD
        return f"{zlib.crc32(work.owner.encode()) % self.count:03d}"


def _row(work: Work) -> str:
    return f"{_moment(work.due)}~{work.kind}~{key(work.owner)}~{key(work.item)}"


def _moment(moment: datetime) -> str:
    return f"{int(moment.timestamp() * 1000):014d}"
