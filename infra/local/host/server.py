"""The host as an ASGI app: the functions' own routes, and the administrator's calls beside them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from starlette.types import Receive, Scope, Send

from infra.local.host import worker as workers
from infra.local.host.answer import Answer
from infra.local.host.http import HTTP_TRIGGER, HttpTriggers, http_triggers
from infra.local.host.keys import Keys
from infra.local.host.queues import QUEUE_TRIGGER, Queue, queues
from infra.local.host.request import DisconnectedError, HttpRequest, RefusedError, read_request
from infra.local.host.routing import RESERVED
from infra.local.host.settings import HostError, read_host_json
from infra.local.host.timers import TIMER_TRIGGER, Timer, timers

KINDS = {HTTP_TRIGGER, TIMER_TRIGGER, QUEUE_TRIGGER}


@dataclass(frozen=True, slots=True)
class Host:
    """A loaded app with its triggers."""

    keys: Keys
    custom_headers: Mapping[str, str]
    http: HttpTriggers
    timers: dict[str, Timer]
    queues: dict[str, Queue]

    @property
    def functions(self) -> list[str]:
        """Names of the functions that are not in error."""
        return [*self.http.names, *self.timers, *self.queues]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        try:
            request = read_request(scope, receive)
        except RefusedError as refused:
            await Answer(refused.status, [("connection", "close")]).send(send, scope["method"])
            return
        first = request.path.split("/", 2)[1].lower()
        try:
            answer = await (self._for_admins(request) if first in RESERVED else self.http.answer(request))
        except DisconnectedError:
            return
        # The real host adds them to every answer, its own 404s too; a function's own value wins.
        own = {name.lower() for name, _value in answer.headers}
        answer.headers.extend((name, value) for name, value in self.custom_headers.items() if name.lower() not in own)
        await answer.send(send, request.method)

    async def _for_admins(self, request: HttpRequest) -> Answer:
        """Run a function that HTTP does not trigger, a disabled one too.

        https://learn.microsoft.com/azure/azure-functions/functions-manually-run-non-http
        """
        if not self.keys.opens("admin", request.headers.get("x-functions-key"), request.query.get("code")):
            return Answer(401)
        name = request.path.removeprefix("/admin/functions/")
        timer, queue = self.timers.get(name), self.queues.get(name)
        if request.method != "POST" or (timer is None and queue is None):
            return Answer(404)
        # The real host answers at once. This one answers when the run has ended, so that tests need not poll.
        if timer is not None:
            await timer.run()
        elif queue is not None:
            body = await request.body(self.http.body_limit) or b"{}"
            await queue.run(str(json.loads(body).get("input", "")))
        return Answer(202)


@asynccontextmanager
async def host(app: Path, clock: Callable[[], datetime]) -> AsyncIterator[Host]:
    """Load the app and fire its timers until the end of the block; runs that are under way then are finished.

    Raises HostError and worker.IndexingError.
    """
    configuration = read_host_json(app)
    worker = await workers.load(app, configuration.time_limit)
    if foreign := [f"{one.name} ({one.kind})" for one in worker.functions if one.kind not in KINDS]:
        raise HostError(f"this host has no such triggers: {', '.join(foreign)}")
    keys = Keys()
    stopping = asyncio.Event()
    try:
        async with queues(worker, configuration.queues) as polled, asyncio.TaskGroup() as running:
            found = Host(
                keys,
                configuration.custom_headers,
                http_triggers(worker, keys, configuration),
                timers(worker, clock),
                polled,
            )
            for timer in found.timers.values():
                if not timer.function.disabled:
                    running.create_task(timer.keep_time(stopping))
            for queue in polled.values():
                if not queue.function.disabled:
                    running.create_task(queue.poll(stopping))
            try:
                yield found
            finally:
                stopping.set()
    finally:
        workers.unload()
