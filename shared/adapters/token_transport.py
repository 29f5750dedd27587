"""The HTTP client that MSAL uses, and the parser of the token endpoint's responses.

MSAL drops the status, Retry-After, suberror and claims of an error, so errors are raised here, before MSAL sees them.
"""

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import msal
import urllib3
from urllib3.connection import HTTPSConnection

from shared.adapters.token_calls import TokenRefused
from shared.domain.audit import client_request_id_header
from shared.domain.claims_challenge import sanitized_claims
from shared.domain.failure import (
    MAX_AADSTS_NUMBER,
    MAX_AADSTS_NUMBERS_READ,
    TokenError,
    aadsts_numbers,
    parse_whole_number,
)

CONNECT_TIMEOUT_SECONDS = 5.0
READ_TIMEOUT_SECONDS = 15.0
# A request is lost on an idle connection that the server is just closing, or that Azure's load balancer has forgotten
# (after four minutes: Azure Load Balancer, "TCP reset and idle timeout"). Servers close after five seconds or more.
MAX_IDLE_SECONDS = 4.0
MAX_RETRY_AFTER = timedelta(days=1)
MAX_TRACE_CHARACTERS = 64
TEXT_FIELDS = ("refresh_token", "scope", "id_token", "client_info", "token_type")


class NoCache(msal.TokenCache):  # type: ignore[misc] # MSAL ships no types
    """Stores nothing: tokens are kept sealed in Table Storage."""

    def add(self, *_: object, **__: object) -> None:
        """Ignore a new token."""

    def modify(self, *_: object, **__: object) -> None:
        """Ignore a changed token."""


@dataclass(frozen=True)
class Response:
    """An HTTP response in the shape that MSAL reads (msal/oauth2cli/http.py)."""

    status_code: int
    text: str
    headers: Mapping[str, str]

    def raise_for_status(self) -> None:
        """Raise TokenRefused for an error status."""
        if self.status_code >= HTTPStatus.BAD_REQUEST:
            raise TokenRefused(TokenError(self.status_code))


class _Connection(HTTPSConnection):
    """A connection that its pool reuses for a few seconds only."""

    _answered = 0.0

    @property
    def is_connected(self) -> bool:
        return time.monotonic() - self._answered < MAX_IDLE_SECONDS and super().is_connected

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override] # as in urllib3 itself
        response = super().getresponse()
        self._answered = time.monotonic()
        return response


class _Pool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Connection


class TokenTransport:
    """An `http_client` for MSAL that uses urllib3: half the CPU time of its default, and with timeouts."""

    def __init__(self, connections: int, ca_file: str | None) -> None:
        self._pool = urllib3.PoolManager(
            maxsize=connections,
            retries=False,
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=READ_TIMEOUT_SECONDS),
            ca_certs=ca_file,
        )
        self._pool.pool_classes_by_scheme = {**self._pool.pool_classes_by_scheme, "https": _Pool}

    def get(self, url: str, params: Any = None, headers: Any = None, **_: Any) -> Response:  # noqa: ANN401 - MSAL's signature
        """Send a discovery request. Raises TokenRefused unless the response is a JSON object.

        MSAL would report an unknown tenant (400 `invalid_tenant`) as it does an outage.
        """
        response = self._send("GET", f"{url}?{urlencode(params)}" if params else url, None, headers)
        json_object(response)
        return response

    def read(self, url: str) -> dict[str, Any]:
        """Fetch a JSON object. Raises TokenRefused for any other response."""
        return json_object(self.get(url))

    def post(self, url: str, params: Any = None, data: Any = None, headers: Any = None, **_: Any) -> Response:  # noqa: ANN401 - MSAL's signature
        """Send a token request. Raises TokenRefused for any response without usable tokens."""
        target = f"{url}?{urlencode(params)}" if params else url
        form = data if isinstance(data, str) else urlencode(data or {})
        # Our client-request-id replaces the one that MSAL makes up for each call.
        request_headers = {
            **(headers or {}),
            "Content-Type": "application/x-www-form-urlencoded",
            **client_request_id_header(),
        }
        response = self._send("POST", target, form, request_headers)
        check_tokens(response)
        return response

    def close(self) -> None:
        """Close all connections."""
        self._pool.clear()

    def _send(self, method: str, url: str, body: str | None, headers: Mapping[str, str] | None) -> Response:
        answer = self._pool.request(method, url, body=body, headers=headers)
        lowered = {name.lower(): value for name, value in answer.headers.items()}
        return Response(answer.status, answer.data.decode(errors="replace"), lowered)


def json_object(response: Response) -> dict[str, Any]:
    """The JSON object of a successful response. Raises TokenRefused for anything else."""
    is_json = "json" in response.headers.get("content-type", "")
    body = _object(response.text) if response.status_code == HTTPStatus.OK and is_json else None
    if body is None:
        raise TokenRefused(token_error(response))
    return body


def check_tokens(response: Response) -> None:
    """Raise TokenRefused unless MSAL and the app can use the response (RFC 6749 section 5.1)."""
    body = json_object(response)
    usable = (
        "error" not in body
        and isinstance(body.get("access_token"), str)
        and all(isinstance(body.get(name, ""), str) for name in TEXT_FIELDS)
        and ("id_token" not in body or _id_token_claims(body["id_token"]) is not None)
    )
    if not usable:
        raise TokenRefused(token_error(response))


def token_error(response: Response) -> TokenError:
    """Parse an error response. Of a proxy's HTML page only the status is known."""
    # A successful page without a token comes from a proxy between us and Entra; that is a passing outage.
    status = response.status_code if response.status_code != HTTPStatus.OK else HTTPStatus.BAD_GATEWAY.value
    body = _object(response.text)
    if body is None:
        status = max(status, HTTPStatus.INTERNAL_SERVER_ERROR.value)
        return TokenError(status, retry_after=_retry_after(response.headers))
    trace = body.get("trace_id")
    return TokenError(
        status=status,
        error=str(body.get("error", "")),
        suberror=str(body.get("suberror", "")),
        aadsts_numbers=_aadsts_numbers(body),
        claims=sanitized_claims(body.get("claims")),
        retry_after=_retry_after(response.headers),
        trace=(trace[:MAX_TRACE_CHARACTERS] or None) if isinstance(trace, str) else None,
    )


def _aadsts_numbers(body: Mapping[str, Any]) -> tuple[int, ...]:
    codes = body.get("error_codes")
    if isinstance(codes, list) and codes:
        numbers = [parse_whole_number(code, MAX_AADSTS_NUMBER) for code in codes[:MAX_AADSTS_NUMBERS_READ]]
        return tuple(number for number in numbers if number is not None)
    return aadsts_numbers(str(body.get("error_description", "")))


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Retry-After in seconds, as Entra sends it. A date (RFC 9110 section 10.2.3) is ignored."""
    seconds = parse_whole_number(headers.get("retry-after", ""), 2**63)
    return None if seconds is None else min(timedelta(seconds=min(seconds, 10**9)), MAX_RETRY_AFTER)


def _object(text: str) -> dict[str, Any] | None:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _id_token_claims(id_token: str) -> dict[str, Any] | None:
    """Decode as MSAL does (msal/oauth2cli/oidc.py), which raises many kinds of errors where this returns None."""
    parts = id_token.split(".")
    try:
        return _object(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)).decode()) if parts[1:] else None
    except ValueError:
        return None
