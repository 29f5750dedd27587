"""Which refusals an operation may answer, and an example of each."""

from collections.abc import Mapping
from http import HTTPMethod, HTTPStatus
from typing import Any

from shared.domain.errors import Conflict
from shared.http.operations import Operation
from shared.http.refusals import LengthRequired

EXAMPLES: Mapping[int, tuple[str, str]] = {
    400: ("InvalidInput", "Invalid input"),
    401: ("Unauthorized", "Missing authentication"),
    403: ("Forbidden", "This needs the scope accounts:read. Ask your administrator for a token that has it"),
    404: ("NotFound", "No such account"),
    409: ("Conflict", str(Conflict())),
    411: ("LengthRequired", str(LengthRequired())),
    413: ("BodyTooLarge", "The body is larger than 64 KiB"),
    414: ("UriTooLong", "A segment of the path is longer than 256 characters"),
    415: ("UnsupportedMediaType", "The body has to be application/json, and Content-Type has to say so"),
    431: ("HeadersTooLarge", "The headers are larger than 24 KiB, or there are more than 80"),
    429: ("TooManyRequests", "Rate limit exceeded"),
    503: ("storage_unavailable", "Storage does not answer. Nothing was lost; try again in a moment."),
}
OF_BOUNDS = {413, 414, 431}
OF_CALLERS = {401, 403, 429, 503}
OF_METHODS: Mapping[HTTPMethod, set[int]] = {
    HTTPMethod.GET: set(),
    HTTPMethod.DELETE: {415},
    HTTPMethod.POST: {411, 415},
    HTTPMethod.PUT: {411, 415},
}


def refusal_statuses(operation: Operation) -> list[int]:
    """The statuses that answer what cannot be done."""
    of_callers = OF_CALLERS if operation.scopes else set()
    return sorted({*of_callers, *OF_BOUNDS, *OF_METHODS[operation.method], *operation.refusals} - {operation.status})


def refusal_example(status: int) -> dict[str, Any]:
    """What a refusal with this status looks like."""
    code, message = EXAMPLES[status]
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
