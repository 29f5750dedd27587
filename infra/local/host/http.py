"""HTTP triggers: requests become what the worker takes, and its results become answers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from azure_functions_runtime.bindings.datumdef import Datum
from starlette.requests import Request
from starlette.responses import Response

from infra.local.host.keys import Keys
from infra.local.host.routing import Route, read_route, split_path
from infra.local.host.settings import HostJson
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
    """All HTTP functions of the app, in the order in which they are asked."""

    worker: Worker
    keys: Keys
    functions: tuple[HttpFunction, ...]
    body_limit: int

    async def answer(self, request: Request) -> Response:
        """Find the function, check the key, run it. No function: 404; wrong key: 401; a failure: 500; all empty."""
        path = split_path(_raw_path(request))
        for one in self.functions:
            # A method that does not fit is a route that does not fit: the real host answers 404, not 405.
            if one.methods and request.method not in one.methods:
                continue
            params = one.route.match(path)
            if params is not None:
                return await self._run(one, request, params)
        return Response(status_code=404)

    async def _run(self, one: HttpFunction, request: Request, params: dict[str, str]) -> Response:
        headers, query = _joined(_headers(request)), _joined(_query(request))
        if not self.keys.opens(one.level, headers.get("x-functions-key"), query.get("code")):
            return Response(status_code=401)
        if int(headers.get("content-length", "0")) > self.body_limit:
            return Response(status_code=500)
        # As in the real host, a body without a length (a chunked one) is not passed on.
        body = await request.body() if int(headers.get("content-length", "0")) > 0 else b""
        argument = {
            "method": Datum(request.method, "string"),
            "url": Datum(_url(request), "string"),
            "headers": _strings(headers),
            "query": _strings({name: value for name, value in query.items() if value}),
            "params": _strings(params),
            "body": Datum(body, "bytes"),
        }
        try:
            return _response(await self.worker.invoke(one.function, Datum(argument, "http")))
        except FunctionFailedError:
            return Response(status_code=500)


def http_triggers(worker: Worker, keys: Keys, configuration: HostJson) -> HttpTriggers:
    """Routes of the app's HTTP functions. Raises HostError for a template that this host does not understand."""
    prefix = configuration.route_prefix
    found = [_http_function(one, prefix) for one in worker.functions if one.kind == HTTP_TRIGGER and not one.disabled]
    return HttpTriggers(worker, keys, tuple(sorted(found, key=lambda one: one.route.rank)), configuration.body_limit)


def _http_function(function: Function, prefix: str) -> HttpFunction:
    trigger = function.trigger
    template = trigger.get("route")
    return HttpFunction(
        function,
        read_route(f"{prefix}/{function.name if template is None else template}"),
        frozenset(method.upper() for method in trigger.get("methods") or ()),
        trigger.get("authLevel", "function").lower(),
    )


def _raw_path(request: Request) -> str:
    return bytes(request.scope["raw_path"]).decode("latin-1")


def _url(request: Request) -> str:
    query = bytes(request.scope["query_string"]).decode("latin-1")
    return f"{request.url.scheme}://{request.url.netloc}{_raw_path(request)}" + (f"?{query}" if query else "")


def _headers(request: Request) -> Iterable[tuple[str, str]]:
    yield from ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in request.headers.raw)
    if request.client is not None:
        # The platform's front end appends the client to what the client itself may have sent.
        yield "x-forwarded-for", f"{request.client.host}:{request.client.port}"


def _query(request: Request) -> Iterable[tuple[str, str]]:
    return parse_qsl(bytes(request.scope["query_string"]).decode("latin-1"), keep_blank_values=True)


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: ",".join(values) for name, values in found.items()}


def _strings(pairs: Mapping[str, str]) -> dict[str, Datum]:
    return {name: Datum(value, "string") for name, value in pairs.items()}


def _response(result: Datum | None) -> Response:
    if result is None or result.type is None:
        return Response(status_code=204)
    if result.type != "http":
        return Response(str(result.value), media_type="text/plain")
    reply = result.value
    response = Response(reply["body"].value, int(reply["status_code"].value))
    for name, value in reply["headers"].items():
        if name.lower() != "content-length":
            response.headers[name] = value.value
    for jar in reply["cookies"] or ():
        for cookie in jar.values():
            response.headers.append("set-cookie", cookie.OutputString())
    return response
