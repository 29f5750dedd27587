"""One request to Graph, whether it came by itself or in a batch, and the answer to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.responses import JSONResponse, Response

from infra.local.tenant.failures import Refusal

UNREADABLE = (
    "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format."
)
# The parameters of actions, by names in lower case. Microsoft's example of `saveToSentItems` is the text "false".
# https://learn.microsoft.com/graph/api/message-forward#request-body, and the pages of the other actions
PARAMETER_TYPES: Mapping[str, tuple[type, ...]] = {
    "comment": (str,),
    "destinationid": (str,),
    "displayname": (str,),
    "message": (dict,),
    "savetosentitems": (bool, str),
    "torecipients": (list,),
}
# OData JSON Format 4.01, section 3.1, with what Graph puts behind it.
JSON_TYPE = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphRequest:
    """A request. `path` is decoded and begins with /v1.0/, and the names of the headers are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def options(self) -> list[tuple[str, str]]:
        """The query options in their order."""
        return parse_qsl(self.query, keep_blank_values=True)

    @property
    def content_type(self) -> str:
        """The media type of the body, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> dict[str, Any]:
        """The body, an object. An empty body has no members. Raises the Refusal BadRequest."""
        try:
            content = msgspec.json.decode(self.body or b"{}")
        except ValueError as error:
            raise Refusal("BadRequest", reason=UNREADABLE) from error
        if not isinstance(content, dict):
            raise Refusal("BadRequest", reason=UNREADABLE)
        return content

    def parameters(self) -> dict[str, Any]:
        """The parameters of an action, by names in lower case: Microsoft's SDKs spell them in two ways.

        Those that are null are missing. Raises the Refusal BadRequest for one of another type.
        """
        parameters = {name.lower(): value for name, value in self.json().items() if value is not None}
        for name, value in parameters.items():
            if not isinstance(value, PARAMETER_TYPES.get(name, object)):
                raise Refusal("BadRequest", reason=f"Cannot read the value of the parameter '{name}'.")
        return parameters


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with: JSON, bytes (with a content type among the headers), or nothing."""

    body: dict[str, Any] | bytes | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self, headers: Mapping[str, str]) -> Response:
        """The HTTP response, with further headers."""
        merged = {**headers, **self.headers}
        if isinstance(self.body, dict):
            return JSONResponse(self.body, self.status, {"Content-Type": JSON_TYPE, **merged})
        return Response(self.body, self.status, merged)
