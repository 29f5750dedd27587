"""HTTP triggers: requests become what the worker takes, and its results become answers."""

from collections.abc import Mapping
from dataclasses import dataclass

from azure_functions_runtime.bindings.datumdef import Datum

from infra.local.host.answer import Answer, read_result
from infra.local.host.keys import Keys
from infra.local.host.request import HttpRequest
from infra.local.host.routing import Route, read_route
from infra.local.host.settings import HostJson
from infra.local.host.throttle import Throttle, throttle
from infra.local.host.worker import Function, FunctionFailedError, Worker

HTTP_TRIGGER = "httpTrigger"


@dataclass(frozen=True, slots=True)
class HttpFunction:
    """A function with its route, its methods (empty for any) and its level."""

    function: Function
    route: Route
    methods: frozenset[str]
    level: str


@dataclass(frozen=True, slots=True)
class HttpTriggers:
    """All HTTP functions of the app, in the order in which they are asked: that of their names.

    `names` has the disabled ones too.
    """

    worker: Worker
    keys: Keys
    names: tuple[str, ...]
    functions: tuple[HttpFunction, ...]
    body_limit: int
    throttle: Throttle

    async def answer(self, request: HttpRequest) -> Answer:
        """Find the function, check the key, run it.

        No function: 404; too many requests: 429; wrong key: 401; a body that is too long, or a failure: 500; all empty.
        Raises request.DisconnectedError.
        """
        async with self.throttle.admit() as admitted:
            if not admitted:
                return Answer(429)
            for one in self.functions:
                # A method that does not fit is a route that does not fit: the real host answers 404, not 405.
                if one.methods and request.method.upper() not in one.methods:
                    continue
                params = one.route.match(request.path)
                if params is not None:
                    return await self._run(one, request, params)
            return Answer(404)

    async def _run(self, one: HttpFunction, request: HttpRequest, params: dict[str, str]) -> Answer:
        if not self.keys.opens(one.level, request.headers.get("x-functions-key"), request.query.get("code")):
            return Answer(401)
        body = await request.body(self.body_limit)
        if body is None:
            return Answer(500)
        argument = {
            "method": Datum(request.method, "string"),
            "url": Datum(request.url, "string"),
            "headers": _strings(request.headers),
            "query": _strings(request.query),
            "params": _strings(params),
            "body": Datum(body, "bytes"),
        }
        try:
            return read_result(await self.worker.invoke(one.function, Datum(argument, "http")))
        except FunctionFailedError:
            return Answer(500)


def http_triggers(worker: Worker, keys: Keys, configuration: HostJson) -> HttpTriggers:
    """Routes of the app's HTTP functions. Raises HostError for a template that this host does not understand."""
    found = worker.each(HTTP_TRIGGER, lambda one: _http_function(one, configuration.route_prefix))
    return HttpTriggers(
        worker,
        keys,
        tuple(found),
        tuple(one for one in found.values() if not one.function.disabled),
        configuration.body_limit,
        throttle(configuration.most_concurrent, configuration.most_outstanding),
    )


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
