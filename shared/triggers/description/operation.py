"""One operation of the API, and the refusals that operations have in common."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from shared.domain.caller import Scope
from shared.domain.errors import LengthRequired

BROWSER = "text/html"
REFUSALS: Mapping[int, tuple[str, str]] = {
    400: ("InvalidInput", "Invalid input"),
    401: ("Unauthorized", "Missing authentication"),
    403: ("Forbidden", "This needs the scope accounts:read. Ask your administrator for a token that has it"),
    404: ("NotFound", "No such account"),
    409: ("Conflict", "It is being changed by others; try again"),
    411: ("LengthRequired", str(LengthRequired())),
    413: ("BodyTooLarge", "The body is larger than 64 KiB"),
    414: ("UriTooLong", "A segment of the path is longer than 256 characters"),
    415: ("UnsupportedMediaType", "The body has to be application/json, and Content-Type has to say so"),
    431: ("HeadersTooLarge", "The headers are larger than 24 KiB, or there are more than 80"),
    429: ("TooManyRequests", "Rate limit exceeded"),
    503: ("storage_unavailable", "Storage does not answer. Nothing was lost; try again in a moment."),
}
BOUNDS = (413, 414, 431)
ALWAYS = (401, 403, 429, 503)


@dataclass(frozen=True, slots=True)
class Operation:
    """A route with one method. Its body, query and answer are types; None stands for none, or for a page.

    It opens for one of `scopes`, or for all of them if `all_of`; without any it asks for no token. `also` are further
    statuses. `form` names the fields of a browser's form, and `cookie` one that the browser has.
    """

    name: str
    method: str
    path: str
    tag: str
    summary: str
    description: str
    answer: type | None = None
    scopes: tuple[Scope, ...] = ()
    body: type | None = None
    body_needed: bool = True
    query: type | None = None
    status: int = 200
    also: tuple[int, ...] = ()
    all_of: bool = False
    kind: str = "application/json"
    form: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()
    cookie: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def refusals(self) -> tuple[int, ...]:
        """The statuses that answer what cannot be done."""
        reading = {"GET": (), "DELETE": (415,)}.get(self.method, (411, 415))
        return tuple(sorted({*(ALWAYS if self.scopes else ()), *BOUNDS, *reading, *self.also} - {self.status}))


def refusal(status: int) -> dict[str, Any]:
    """What a refusal with this status looks like."""
    code, message = REFUSALS[status]
    body: dict[str, Any] = {
        "statusCode": status,
        "error": HTTPStatus(status).phrase,
        "message": message,
        "code": code,
    }
    if status == HTTPStatus.BAD_REQUEST:
        body["fields"] = [{"message": '"redirectUrl" is required', "key": "redirectUrl"}]
    if status == HTTPStatus.FORBIDDEN:
        body["requestedScope"] = "accounts:read"
    return body
