"""A proxy between the app and Azurite that loses answers after the write, as networks do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

WRITING = {b"POST", b"PUT", b"PATCH"}
CHANGING = WRITING | {b"DELETE", b"MERGE"}
METHODS = WRITING | {b"GET", b"DELETE", b"MERGE"}


@dataclass
class LossyProxy:
    """Forwards bytes. While `losing` counts down, it loses answers to `lossy_methods`, and closes their connections.

    When `writes_left` have been written, nothing is answered any more: whoever waits can be killed as it is. Answers
    are `delay` seconds late, and requests that hold the text `unanswered` get none.
    """

    upstream_port: int
    losing: int = 0
    lossy_methods: set[bytes] = field(default_factory=lambda: set(WRITING))
    lost: list[bytes] = field(default_factory=list)
    refusing: bool = False
    writes_left: int | None = None
    delay: float = 0
    unanswered: bytes | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)
    requests: int = 0
    connections: set[asyncio.Task[None]] = field(default_factory=set)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._handle(reader, writer))
        self.connections.add(task)
        task.add_done_callback(self.connections.discard)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.close()
            return
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        asked: list[bytes] = []
        up = asyncio.create_task(self._forward(reader, up_writer, asked))
        try:
            answered = 0
            while answer := await up_reader.read(65536):
                if self.writes_left is not None and len(asked) > answered:
                    answered = len(asked)
                    await self._count(asked[-1])
                if self.losing and asked and asked[-1].split(b" ", 1)[0] in self.lossy_methods:
                    self.losing -= 1
                    self.lost.append(asked[-1])
                    break
                await asyncio.sleep(self.delay)
                writer.write(answer)
                await writer.drain()
        finally:
            up.cancel()
            writer.close()
            up_writer.close()

    async def _count(self, request: bytes) -> None:
        if self.over.is_set():
            await asyncio.Event().wait()
        if self.writes_left is not None and request.split(b" ", 1)[0] in CHANGING:
            self.writes_left -= 1
            if self.writes_left == 0:
                self.over.set()
                await asyncio.Event().wait()

    async def _forward(self, reader: asyncio.StreamReader, up_writer: asyncio.StreamWriter, asked: list[bytes]) -> None:
        while request := await reader.read(65536):
            if self.unanswered is not None and self.unanswered in request:
                await asyncio.Event().wait()
            if request.split(b" ", 1)[0] in METHODS:
                self.requests += 1
                asked.append(request.split(b"\r\n", 1)[0])
            up_writer.write(request)
            await up_writer.drain()


@asynccontextmanager
async def lossy_proxy(upstream_port: int) -> AsyncIterator[tuple[LossyProxy, int]]:
    """A running proxy and its port."""
    proxy = LossyProxy(upstream_port)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    try:
        yield proxy, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in proxy.connections:
            connection.cancel()
        await asyncio.gather(*proxy.connections, return_exceptions=True)
