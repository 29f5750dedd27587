"""The agenda: what is due when, in shards."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from shared.adapters.tables.mapping import from_entity, to_entity
from shared.adapters.tables.table import MAX_TRANSACTION_ROWS, Table
from shared.domain.errors import RowUnreadable
from shared.domain.formats import table_key
from shared.domain.work import DELIVERY_SHARD, LATE_OUTBOX_SHARD, OUTBOX_SHARD, REAP_SHARD, Work, WorkKind

KNOWN_KINDS = frozenset(WorkKind)
SPECIAL_SHARDS = {
    WorkKind.REAP: REAP_SHARD,
    WorkKind.EXPIRE: REAP_SHARD,
    WorkKind.EVENT: OUTBOX_SHARD,
    WorkKind.LATE_EVENT: LATE_OUTBOX_SHARD,
    WorkKind.DELIVER: DELIVERY_SHARD,
}
GROUP_COMMIT_DELAY_SECONDS = 0.02


@dataclass(slots=True)
class GroupCommit[T]:
    """Group commit: changes that arrive while a batch is being written form the next batch.

    A single change is written at once; among many, it shares a transaction with up to 99 others. `row_key` tells the
    changes of one row apart, because a transaction may contain a row only once.
    """

    send: Callable[[list[T]], Awaitable[None]]
    row_key: Callable[[T], str]
    _waiting: list[tuple[T, asyncio.Future[None]]] = field(default_factory=list)
    _writer: asyncio.Task[None] | None = None

    async def __call__(self, change: T) -> None:
        """Return when the change is written. Raises the error of its batch."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((change, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        await done

    async def _write(self) -> None:
        batch_size = 1
        while self._waiting:
            if batch_size > 1:
                # After a batch of several, more are likely, and a transaction costs little more than a single write.
                await asyncio.sleep(GROUP_COMMIT_DELAY_SECONDS)
            batch = self._next_batch()
            batch_size = len(batch)
            try:
                await self.send([change for change, _ in batch])
            except Exception as error:  # noqa: BLE001 - the callers that wait for this batch get it
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
            for _, done in batch:
                if not done.done():
                    done.set_result(None)

    def _next_batch(self) -> list[tuple[T, asyncio.Future[None]]]:
        batch: dict[str, tuple[T, asyncio.Future[None]]] = {}
        left: list[tuple[T, asyncio.Future[None]]] = []
        for change, done in self._waiting:
            if len(batch) == MAX_TRANSACTION_ROWS or self.row_key(change) in batch:
                left.append((change, done))
            else:
                batch[self.row_key(change)] = (change, done)
        self._waiting = left
        return list(batch.values())


@dataclass(frozen=True, slots=True)
class TableAgenda:
    """Row keys begin with the due time, zero-padded, so that due rows are a range with the oldest first.

    All work of one owner is in the same shard.
    """

    table: Table
    count: int
    _commits: dict[str, GroupCommit[Work]] = field(default_factory=dict)

    @property
    def shards(self) -> Sequence[str]:
        """The shards that hold work for grants."""
        return [f"{number:03d}" for number in range(self.count)]

    async def add(self, work: Work) -> None:
        """Add a row. Its content follows from the work, so adding it twice changes nothing."""
        shard = self._shard(work)
        if shard not in self._commits:
            self._commits[shard] = GroupCommit(self._put, _row_key)
        await self._commits[shard](work)

    async def put_off(self, work: Work) -> None:
        """Replace the row; its key keeps the original due time."""
        await self._put([work])

    async def remove(self, works: Sequence[Work]) -> None:
        """Remove at most 100 rows of one shard. Missing rows are no error."""
        if works:
            await self.table.drop(self._shard(works[0]), [_row_key(work) for work in works])

    async def holds(self, work: Work) -> bool:
        """Whether the row exists."""
        return await self.table.read(Work, self._shard(work), _row_key(work)) is not None

    async def due(self, shard: str, until: datetime, after: Work | datetime | None, limit: int = 100) -> Sequence[Work]:
        """At most `limit` rows, oldest first, and fewer only when there are no more.

        Skips unreadable rows and kinds of a newer version, which may have been rolled back.
        """
        parameters = {
            "shard": shard,
            "end": _timestamp_key(until + timedelta(milliseconds=1)),
            "after": _start_key(after),
        }
        where = "PartitionKey eq @shard and RowKey gt @after and RowKey lt @end"
        works: list[Work] = []
        async for entity in self.table.query(where, parameters, page=limit):
            if entity.get("kind") in KNOWN_KINDS and (work := self._work(entity)) is not None:
                works.append(work)
                if len(works) == limit:
                    break
        return works

    def _work(self, entity: Mapping[str, Any]) -> Work | None:
        """A row's work. A row under the wrong key could not be removed, and would be worked for ever."""
        with suppress(RowUnreadable):
            work = from_entity(Work, entity)
            if _row_key(work) == entity["RowKey"]:
                return work
        self.table.unreadable(entity)
        return None

    async def _put(self, works: list[Work]) -> None:
        await self.table.put([to_entity(work, self._shard(work), _row_key(work)) for work in works])

    def _shard(self, work: Work) -> str:
        return SPECIAL_SHARDS.get(work.kind) or f"{zlib.crc32(work.owner.encode()) % self.count:03d}"


def _row_key(work: Work) -> str:
    return f"{_timestamp_key(work.due)}~{work.kind}~{table_key(work.owner)}~{table_key(work.item)}"


def _start_key(after: Work | datetime | None) -> str:
    if isinstance(after, Work):
        return _row_key(after)
    # `~` sorts after every kind of work.
    return "" if after is None else f"{_timestamp_key(after)}~~"


def _timestamp_key(timestamp: datetime) -> str:
    return f"{int(timestamp.timestamp() * 1000):014d}"
