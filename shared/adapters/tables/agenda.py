"""The agenda: an index of what is due when, in shards."""

import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from shared.adapters.tables.group_commit import GroupCommit
from shared.adapters.tables.mapping import from_entity, to_entity
from shared.adapters.tables.table import Table
from shared.domain.errors import RowUnreadable
from shared.domain.formats import table_key
from shared.domain.work import DELIVERY_SHARD, LATE_OUTBOX_SHARD, OUTBOX_SHARD, REAP_SHARD, Work, WorkKind

KINDS = frozenset(WorkKind)
APART = {
    WorkKind.REAP: REAP_SHARD,
    WorkKind.EXPIRE: REAP_SHARD,
    WorkKind.EVENT: OUTBOX_SHARD,
    WorkKind.LATE_EVENT: LATE_OUTBOX_SHARD,
    WorkKind.DELIVER: DELIVERY_SHARD,
}


@dataclass(frozen=True, slots=True)
class TableAgenda:
    """Row keys begin with the due time, zero-padded, so that what is due is a range and the oldest comes first.

    Work of one owner stays in one shard.
    """

    table: Table
    count: int
    _adding: dict[str, GroupCommit[Work]] = field(default_factory=dict)

    @property
    def shards(self) -> Sequence[str]:
        """The shards that hold work for grants."""
        return [f"{number:03d}" for number in range(self.count)]

    async def add(self, work: Work) -> None:
        """A row follows from its work, so adding it twice changes nothing."""
        shard = self._shard(work)
        if shard not in self._adding:
            self._adding[shard] = GroupCommit(self._add, _row)
        await self._adding[shard](work)

    async def put_off(self, work: Work) -> None:
        """In place: its key stays what it was due at."""
        await self._add([work])

    async def remove(self, works: Sequence[Work]) -> None:
        """Remove at most 100 rows of one shard; those that are gone already are fine."""
        if works:
            await self.table.drop(self._shard(works[0]), [_row(work) for work in works])

    async def holds(self, work: Work) -> bool:
        """Whether the row is there."""
        return await self.table.read(Work, self._shard(work), _row(work)) is not None

    async def due(self, shard: str, until: datetime, after: Work | datetime | None, limit: int = 100) -> Sequence[Work]:
        """At most `limit` rows, oldest first, and fewer only when there are no more.

        What only a newer version can do is left to it, after a rollback too; and so is what is unreadable.
        """
        bounds = {"shard": shard, "end": _moment(until + timedelta(milliseconds=1)), "after": _behind(after)}
        where = "PartitionKey eq @shard and RowKey gt @after and RowKey lt @end"
        found: list[Work] = []
        async for entity in self.table.query(where, bounds, page=limit):
            if entity.get("kind") in KINDS and (work := self._work(entity)) is not None:
                found.append(work)
                if len(found) == limit:
                    break
        return found

    def _work(self, entity: Mapping[str, Any]) -> Work | None:
        """A row's work; a row that does not lie where its work says could not be removed, and is worked for ever."""
        with suppress(RowUnreadable):
            work = from_entity(Work, entity)
            if _row(work) == entity["RowKey"]:
                return work
        self.table.unreadable(entity)
        return None

    async def _add(self, works: list[Work]) -> None:
        await self.table.put([to_entity(work, self._shard(work), _row(work)) for work in works])

    def _shard(self, work: Work) -> str:
        return APART.get(work.kind) or f"{zlib.crc32(work.owner.encode()) % self.count:03d}"


def _row(work: Work) -> str:
    return f"{_moment(work.due)}~{work.kind}~{table_key(work.owner)}~{table_key(work.item)}"


def _behind(after: Work | datetime | None) -> str:
    if isinstance(after, Work):
        return _row(after)
    # `~` sorts behind every kind of work.
    return "" if after is None else f"{_moment(after)}~~"


def _moment(moment: datetime) -> str:
    return f"{int(moment.timestamp() * 1000):014d}"
