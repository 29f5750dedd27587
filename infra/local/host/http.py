"""HTTP triggers: route a request to a function, check its key, and limit how many requests run at once."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass

from azure_functions_runtime.bindings.datumdef import Datum

from infra.local.host.keys import Keys
from infra.local.host.request import HttpRequest
from infra.local.host.response import Response, read_result
from infra.local.host.routing import Route, read_route
from infra.local.host.settings import UNBOUNDED, HostJson
from infra.local.host.worker import Function, FunctionFailedError, Worker

HTTP_TRIGGER = "httpTrigger"


@dataclass(slots=True)
class RequestLimit:
    """Limits requests in the host (host.json, `maxConcurrentRequests` and `maxOutstandingRequests`).

    Requests over `concurrent` wait; a request over `max_outstanding` is rejected at once.
    https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook#hostjson-settings
    """

    concurrent: asyncio.Semaphore | nullcontext[None]
    max_outstanding: int
    outstanding: int = 0

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[bool]:
        """Wait until the request can run. Yields False if the request is rejected."""
        if self.outstanding == self.max_outstanding:
            yield False
            return
        self.outstanding += 1
        try:
            async with self.concurrent:
                yield True
        finally:
            self.outstanding -= 1


def request_limit(configuration: HostJson) -> RequestLimit:
    """The limit that host.json sets."""
    concurrent = configuration.max_concurrent
    semaphore = nullcontext() if concurrent == UNBOUNDED else asyncio.Semaphore(concurrent)
    return RequestLimit(semaphore, configuration.max_outstanding)


@dataclass(frozen=True, slots=True)
class HttpFunction:
    """A function with its route, its methods (empty means any) and its authorization level."""

    function: Function
    route: Route
    methods: frozenset[str]
    level: str


@dataclass(frozen=True, slots=True)
class HttpTriggers:
    """The app's enabled HTTP functions, ordered by name. `names` has the disabled ones too."""

    worker: Worker
    keys: Keys
    names: tuple[str, ...]
    functions: tuple[HttpFunction, ...]
    body_limit: int
    limit: RequestLimit

    async def respond(self, request: HttpRequest) -> Response:
        """Run the first function that matches the request.

        No function: 404; too many requests: 429; wrong key: 401; body over the limit, or failed function: 500. All of
        these have an empty body. Raises request.DisconnectedError.
        """
        async with self.limit.admit() as admitted:
            if not admitted:
                return Response(429)
            for function in self.functions:
                # If only the method does not match, the real host tries the next function: 404, not 405.
                if function.methods and request.method.upper() not in function.methods:
                    continue
                parameters = function.route.match(request.path)
                if parameters is not None:
                    return await self._run(function, request, parameters)
            return Response(404)

    async def _run(self, function: HttpFunction, request: HttpRequest, parameters: dict[str, str]) -> Response:
        if not self.keys.opens(function.level, request.headers.get("x-functions-key"), request.query.get("code")):
            return Response(401)
        body = await request.body(self.body_limit)
        if body is None:
            return Response(500)
        argument = {
            "method": Datum(request.method, "string"),
            "url": Datum(request.url, "string"),
            "headers": _strings(request.headers),
            "query": _strings(request.query),
            "params": _strings(parameters),
            "body": Datum(body, "bytes"),
        }
        try:
            return read_result(await self.worker.invoke(function.function, Datum(argument, "http")))
        except FunctionFailedError:
            return Response(500)


def http_triggers(worker: Worker, keys: Keys, configuration: HostJson) -> HttpTriggers:
    """The app's HTTP functions. Raises HostError for a route template that this host does not support."""
    functions = worker.each(HTTP_TRIGGER, lambda function: _http_function(function, configuration.route_prefix))
    enabled = tuple(function for function in functions.values() if not function.function.disabled)
    limit = request_limit(configuration)
    return HttpTriggers(worker, keys, tuple(functions), enabled, configuration.body_limit, limit)


def _http_function(function: Function, prefix: str) -> HttpFunction:
    trigger = function.trigger
    template = trigger.get("route")
    return HttpFunction(
        function,
        read_route(prefix, function.name if template is None else template),
        frozenset(method.upper() for method in trigger.get("methods") or ()),
        trigger.get("authLevel", "function").lower(),
    )


def _strings(pairs: Mapping[str, str]) -> dict[str, Datum]:
    return {name: Datum(value, "string") for name, value in pairs.items()}
