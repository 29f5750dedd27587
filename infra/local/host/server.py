"""The host as an ASGI app: the routes of the functions, and the host's own admin route."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from starlette.types import Receive, Scope, Send

from infra.local.host import worker as workers
from infra.local.host.http import HTTP_TRIGGER, HttpTriggers, http_triggers
from infra.local.host.keys import Keys
from infra.local.host.queues import QUEUE_TRIGGER, Queue, queues
from infra.local.host.request import DisconnectedError, HttpRequest, RejectedError, read_request
from infra.local.host.response import Response
from infra.local.host.routing import RESERVED_PREFIXES
from infra.local.host.settings import HostError, read_host_json
from infra.local.host.timers import TIMER_TRIGGER, Timer, timers

SUPPORTED_TRIGGERS = {HTTP_TRIGGER, TIMER_TRIGGER, QUEUE_TRIGGER}


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
        """Respond to one HTTP request."""
        try:
            request = read_request(scope, receive)
        except RejectedError as rejection:
            await Response(rejection.status, [("connection", "close")]).send(send, scope["method"])
            return
        is_reserved = request.path.split("/", 2)[1].lower() in RESERVED_PREFIXES
        try:
            response = await (self._admin_call(request) if is_reserved else self.http.respond(request))
        except DisconnectedError:
            return
        # The real host adds custom headers to every response, also to its own 404s. A function's own value wins.
        own_names = {name.lower() for name, _value in response.headers}
        custom_headers = self.custom_headers.items()
        response.headers.extend((name, value) for name, value in custom_headers if name.lower() not in own_names)
        await response.send(send, request.method)

    async def _admin_call(self, request: HttpRequest) -> Response:
        """Run a timer or queue function, also a disabled one.

        https://learn.microsoft.com/azure/azure-functions/functions-manually-run-non-http
        """
        if not self.keys.opens("admin", request.headers.get("x-functions-key"), request.query.get("code")):
            return Response(401)
        name = request.path.removeprefix("/admin/functions/")
        timer, queue = self.timers.get(name), self.queues.get(name)
        if request.method != "POST" or (timer is None and queue is None):
            return Response(404)
        # The real host responds at once. This one responds when the run has ended, so that tests need not poll.
        if timer is not None:
            await timer.run()
        elif queue is not None:
            body = await request.body(self.http.body_limit) or b"{}"
            await queue.run(str(json.loads(body).get("input", "")))
        return Response(202)


@asynccontextmanager
async def host(app: Path, clock: Callable[[], datetime]) -> AsyncIterator[Host]:
    """Load the app and run its triggers until the end of the block, then finish the runs in progress.

    Raises HostError and worker.IndexingError.
    """
    configuration = read_host_json(app)
    worker = await workers.load(app, configuration.timeout_seconds)
    unsupported = [
        f"{function.name} ({function.kind})" for function in worker.functions if function.kind not in SUPPORTED_TRIGGERS
    ]
    if unsupported:
        raise HostError(f"this host does not support these triggers: {', '.join(unsupported)}")
    keys = Keys()
    stopping = asyncio.Event()
    try:
        async with queues(worker, configuration.queues) as polled_queues, asyncio.TaskGroup() as running:
            loaded = Host(
                keys,
                configuration.custom_headers,
                http_triggers(worker, keys, configuration),
                timers(worker, clock),
                polled_queues,
            )
            for timer in loaded.timers.values():
                if not timer.function.disabled:
                    running.create_task(timer.run_on_schedule(stopping))
            for queue in polled_queues.values():
                if not queue.function.disabled:
                    running.create_task(queue.poll(stopping))
            try:
                yield loaded
            finally:
                stopping.set()
    finally:
        workers.unload()
