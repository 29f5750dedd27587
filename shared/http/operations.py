"""Declares operations: one decorator says everything about a method of a route.

The Functions trigger, the caller check, the audit record, the rate limit, the decoding of the request, the encoding of
the answer and the description of the API all come from the declaration and from the types of the handler:

    resource = Resource("Accounts", "Mailboxes that are bound, and how they are.")

    @resource.get("/v1/account/{account}", Action.READ_ACCOUNT, Scope.ACCOUNTS_READ, refusals=[404])
    async def get_account(app: App, account_id: AccountId) -> Account:
        '''Get an account.

        Describes the state of an account.
        '''

A handler takes, by name: `app`, `caller`, `identify` (which finds out again who calls), the path's parameters with
`_id` after their names (as they came, within the declared bounds), `body` and `query` (decoded into their types),
`faults` (then the handler or its use case refuses these together with its own), and `request` (the request itself). Its
name is the operation's id, the first line of its docstring is the summary, and the rest is the description.
"""

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPMethod, HTTPStatus
from typing import Any, Protocol, get_args, get_origin

import azure.functions as func

from shared.domain.audit import Action
from shared.domain.caller import Scope
from shared.http.bounds import API_BOUNDS, Bounds
from shared.http.limits import RequestLimits
from shared.http.responses import JSON, Answered, Handler
from shared.http.routes import Route, function_name

# Words with a spelling of their own.
SPELLINGS = {"oauth": "OAuth", "openapi": "OpenApi"}


class Declare(Protocol):
    """A decorator that leaves the handler as it is."""

    def __call__[H: Callable[..., Any]](self, handler: H, /) -> H:
        """Declare this handler."""


def count_one(_: Mapping[str, Any]) -> int:
    """Count every request once."""
    return 1


@dataclass(frozen=True)
class Operation:
    """One method of one route, with its handler.

    Any one of `scopes` lets a caller in; without any, everybody may call. Some requests need `further_scope` too, which
    the handler checks. A route with an `{account}` is for callers who may reach that account, and any other for callers
    who may reach all accounts, unless the handler `checks_reach`. An operation with `uses_form_limit` counts under the
    rate limit of forms, as many times as `weight` says of the body. A request has to meet the `bounds`. `refusals` are
    the statuses besides those that the declaration implies. `headers` describes the answer's headers, and
    `request_headers` has the types of those that a handler reads from the request. `form`, `queries` and `cookie` name
    what a browser sends, and `browser_limit` counts its requests.
    """

    handler: Callable[..., Any]
    tag: str
    method: HTTPMethod
    path: str
    action: Action | None = None
    scopes: tuple[Scope, ...] = ()
    further_scope: Scope | None = None
    checks_reach: bool = False
    uses_form_limit: bool = False
    weight: Callable[[Mapping[str, Any]], int] = count_one
    body_optional: bool = False
    bounds: Bounds = API_BOUNDS
    status: HTTPStatus = HTTPStatus.OK
    refusals: Collection[int] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    request_headers: Mapping[str, Any] = field(default_factory=dict)
    media_type: str = JSON
    form: Sequence[str] = ()
    queries: Collection[str] = ()
    cookie: str | None = None
    browser_limit: Callable[[RequestLimits, func.HttpRequest], None] | None = None

    @property
    def name(self) -> str:
        """The operation's id, such as `GetAccount`."""
        words = self.handler.__name__.split("_")
        return "".join(SPELLINGS.get(word, word.capitalize()) for word in words)

    @property
    def types(self) -> Mapping[str, Any]:
        """The types of what the handler takes, by name."""
        return self.handler.__annotations__

    @property
    def answer(self) -> Any:  # noqa: ANN401 - a type
        """The type of the answer."""
        returned = self.types["return"]
        return get_args(returned)[0] if get_origin(returned) is Answered else returned

    @property
    def summary(self) -> str:
        """One line about it, without a full stop."""
        return self._paragraphs[0].removesuffix(".")

    @property
    def description(self) -> str:
        """What it does, in sentences."""
        return " ".join(" ".join(self._paragraphs[1:]).split())

    @property
    def route(self) -> Route:
        """The route for the host. GET answers HEAD too (RFC 9110 section 9.3.2); the host drops the body."""
        head = (HTTPMethod.HEAD,) if self.method is HTTPMethod.GET else ()
        return Route((self.method, *head), self.path.removeprefix("/"))

    @property
    def _paragraphs(self) -> list[str]:
        return (inspect.getdoc(self.handler) or "").split("\n\n")


class Resource:
    """The operations of one resource, in the order of the description, under one `tag`; `about` describes the tag."""

    def __init__(self, tag: str, about: str) -> None:
        self.tag, self.about = tag, about
        self.operations: list[Operation] = []

    def get(self, path: str, action: Action | None = None, *scopes: Scope, **declaration: Any) -> Declare:  # noqa: ANN401 - fields of Operation
        """Declare what answers GET of this path. The handler stays a plain function."""
        return self._declare(HTTPMethod.GET, path, action, scopes, declaration)

    def post(self, path: str, action: Action | None = None, *scopes: Scope, **declaration: Any) -> Declare:  # noqa: ANN401 - as above
        """Declare what answers POST."""
        return self._declare(HTTPMethod.POST, path, action, scopes, declaration)

    def put(self, path: str, action: Action | None = None, *scopes: Scope, **declaration: Any) -> Declare:  # noqa: ANN401 - as above
        """Declare what answers PUT."""
        return self._declare(HTTPMethod.PUT, path, action, scopes, declaration)

    def delete(self, path: str, action: Action | None = None, *scopes: Scope, **declaration: Any) -> Declare:  # noqa: ANN401 - as above
        """Declare what answers DELETE."""
        return self._declare(HTTPMethod.DELETE, path, action, scopes, declaration)

    def _declare(
        self,
        method: HTTPMethod,
        path: str,
        action: Action | None,
        scopes: tuple[Scope, ...],
        declaration: Mapping[str, Any],
    ) -> Declare:
        def declare[H: Callable[..., Any]](handler: H) -> H:
            self.operations.append(Operation(handler, self.tag, method, path, action, scopes, **declaration))
            return handler

        return declare


def blueprint_of(operations: Iterable[Operation], handler_of: Callable[[Operation], Handler]) -> func.Blueprint:
    """The functions of these operations; `handler_of` makes the host's handler of each."""
    blueprint = func.Blueprint()
    for operation in operations:
        add_function(blueprint, operation.route, operation.handler.__name__, handler_of(operation))
    return blueprint


def add_function(blueprint: func.Blueprint, route: Route, name: str, handler: Handler) -> None:
    """Add the function that answers a route. Callers are identified by bearer tokens, not by the host's keys."""
    trigger = blueprint.route(route.template, methods=route.methods or None, auth_level=func.AuthLevel.ANONYMOUS)
    blueprint.function_name(function_name(route.template, name))(trigger(handler))
