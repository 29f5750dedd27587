"""Group commit: what is asked for while the last batch is being written goes into the next one."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

COMPANY = 0.02  # seconds
AT_ONCE = 100  # changes in one transaction (Table service: entity group transactions)


@dataclass(slots=True)
class GroupCommit[T]:
    """Alone, a change is written at once; among many, it shares a transaction with up to 99 others.

    `name` tells changes of one row apart, because a transaction may touch a row once only.
    """

    send: Callable[[list[T]], Awaitable[None]]
    name: Callable[[T], str]
    _waiting: list[tuple[T, asyncio.Future[None]]] = field(default_factory=list)
    _writer: asyncio.Task[None] | None = None

    async def __call__(self, change: T) -> None:
        """Return when the change is written; raises what writing its batch raised."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((change, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        await done

    async def _write(self) -> None:
        last = 1
        while self._waiting:
            if last > 1:
                # Where there was company, more is coming, and a transaction costs little more than a single write.
                await asyncio.sleep(COMPANY)
            batch = self._take()
            last = len(batch)
            try:
                await self.send([change for change, _ in batch])
            except Exception as error:  # noqa: BLE001 - it belongs to those who wait for this batch
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
            for _, done in batch:
                if not done.done():
                    done.set_result(None)

    def _take(self) -> list[tuple[T, asyncio.Future[None]]]:
        batch: dict[str, tuple[T, asyncio.Future[None]]] = {}
        later: list[tuple[T, asyncio.Future[None]]] = []
        for change, done in self._waiting:
            if len(batch) == AT_ONCE or self.name(change) in batch:
                later.append((change, done))
            else:
                batch[self.name(change)] = (change, done)
        self._waiting = later
        return list(batch.values())
