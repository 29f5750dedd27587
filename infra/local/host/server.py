"""The host as an ASGI app: the functions' own routes, and the administrator's calls beside them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from infra.local.host import worker as workers
from infra.local.host.http import HTTP_TRIGGER, HttpTriggers, http_triggers
from infra.local.host.keys import Keys
from infra.local.host.queues import QUEUE_TRIGGER, Queue, queues
from infra.local.host.routing import read_route, split_path
from infra.local.host.settings import HostError, read_host_json
from infra.local.host.timers import TIMER_TRIGGER, Timer, timers

KINDS = {HTTP_TRIGGER, TIMER_TRIGGER, QUEUE_TRIGGER}
RUN_NOW = read_route("admin/functions/{name}")


@dataclass(frozen=True, slots=True)
class Host:
    """A loaded app with its triggers."""

    keys: Keys
    custom_headers: Mapping[str, str]
    http: HttpTriggers
    timers: dict[str, Timer]
    queues: dict[str, Queue]
    functions: tuple[str, ...]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        request = Request(scope, receive)
        called = RUN_NOW.match(split_path(bytes(scope["raw_path"]).decode("latin-1")))
        answering = self.http.answer(request) if called is None else self._run_now(request, called["name"])
        response = await answering
        # The real host adds them to every answer, its own 404s too; a function's own value wins.
        for name, value in self.custom_headers.items():
            response.headers.setdefault(name, value)
        await response(scope, receive, send)

    async def _run_now(self, request: Request, name: str) -> Response:
        """Run a function that HTTP does not trigger, a disabled one too.

        https://learn.microsoft.com/azure/azure-functions/functions-manually-run-non-http
        """
        key, code = request.headers.get("x-functions-key"), request.query_params.get("code")
        if not self.keys.opens("admin", key, code):
            return Response(status_code=401)
        timer, queue = self.timers.get(name), self.queues.get(name)
        if request.method != "POST" or (timer is None and queue is None):
            return Response(status_code=404)
        # The real host answers at once. This one answers when the run has ended, so that tests need not poll.
        if timer is not None:
            await timer.run()
        elif queue is not None:
            await queue.run(str((await request.json()).get("input", "")))
        return Response(status_code=202)


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
                tuple(one.name for one in worker.functions),
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
