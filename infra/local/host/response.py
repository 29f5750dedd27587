"""HTTP responses, made from the results of functions as the real host and its web server make them."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime, formatdate
from types import SimpleNamespace
from urllib.parse import quote

from azure_functions_runtime.bindings.datumdef import Datum, parse_to_rpc_http_cookie_list
from starlette.types import Send

from infra.local.host.worker import PROTOS

STATUSES_WITHOUT_BODY = {204, 304}
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
SAME_SITE = {"Lax": "lax", "Strict": "strict", "ExplicitNone": "none"}


@dataclass(frozen=True, slots=True)
class Response:
    """Status, header lines and body."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    async def send(self, send: Send, method: str) -> None:
        """Send the response to a request with this method.

        Without a `Content-Length` it is chunked. A body longer than its `Content-Length` makes it a 500.
        """
        lines = [(name.lower(), value) for name, value in self.headers]
        headers = dict(lines)
        bodiless = method == "HEAD" or self.status in STATUSES_WITHOUT_BODY
        body = b"" if bodiless or "transfer-encoding" in headers else self.body
        if not all(HEADER_NAME.fullmatch(name) and HEADER_VALUE.fullmatch(value) for name, value in lines) or (
            len(body) > int(headers.get("content-length", len(body)))
        ):
            await Response(500).send(send, method)
            return
        if not body and not bodiless and not {"content-length", "transfer-encoding"} & headers.keys():
            lines.append(("content-length", "0"))
        if "date" not in headers:
            lines.append(("date", formatdate(usegmt=True)))
        encoded = [(name.encode(), value.strip().encode()) for name, value in lines]
        await send({"type": "http.response.start", "status": self.status, "headers": encoded})
        await send({"type": "http.response.body", "body": body})


def read_result(result: Datum | None) -> Response:
    """The response for a function's result. A status that is not a number becomes 200."""
    if result is None or result.type is None:
        return Response(204)
    if result.type != "http":
        return Response(200, [("content-type", "text/plain; charset=utf-8")], str(result.value).encode())
    content = result.value
    status = str(content["status_code"].value)
    headers = [(name, value.value) for name, value in content["headers"].items()]
    cookies = parse_to_rpc_http_cookie_list(content["cookies"], PROTOS) or ()
    headers += [("set-cookie", _set_cookie(cookie)) for cookie in cookies]
    return Response(int(status) if status.isdecimal() else 200, headers, content["body"].value)


def _set_cookie(cookie: SimpleNamespace) -> str:
    """A cookie as ASP.NET Core writes it (`SetCookieHeaderValue`).

    The Python worker gives every cookie a domain and a path, which are empty if the app did not set them.
    """
    parts = [f"{cookie.name}={quote(cookie.value, safe='')}"]
    if cookie.expires:
        moment = datetime.fromtimestamp(cookie.expires.value.seconds, UTC)
        parts.append(f"expires={format_datetime(moment, usegmt=True)}")
    if cookie.max_age:
        parts.append(f"max-age={int(cookie.max_age.value)}")
    parts += [f"domain={cookie.domain.value}", f"path={cookie.path.value}"]
    parts += ["secure"] if cookie.secure.value else []
    parts += [f"samesite={SAME_SITE[cookie.same_site]}"] if cookie.same_site in SAME_SITE else []
    return "; ".join([*parts, *(["httponly"] if cookie.http_only.value else [])])
