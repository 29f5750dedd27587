"""Carries MSAL's HTTP calls, and says what MSAL would swallow: status, Retry-After, suberror and claims."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import msal
import urllib3

from shared.domain.claims_challenge import kept_claims
from shared.domain.correlation import request_id
from shared.domain.failure import TokenError

OK = 200
CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 15.0
AADSTS = re.compile(r"AADSTS(\d+)")


class TokenRefused(Exception):
    """The token endpoint's answer is no token.

    It is raised from within MSAL's call, and therefore never reaches MSAL's throttle, which would replay an
    `invalid_grant` for a minute to whoever asks again (msal/throttled_http_client.py).
    """

    def __init__(self, answer: TokenError) -> None:
        super().__init__("token endpoint refused")
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer in the shape that MSAL reads (msal/oauth2cli/http.py)."""

    status_code: int
    text: str
    headers: Mapping[str, str]

    def raise_for_status(self) -> None:
        """Raise TokenRefused for an error status."""
        if self.status_code >= 400:  # noqa: PLR2004 - HTTP's first error
            raise TokenRefused(TokenError(self.status_code))


class NoCache(msal.TokenCache):  # type: ignore[misc] # MSAL ships no types
    """Keeps nothing: tokens live sealed in Table Storage."""

    def add(self, *_: object, **__: object) -> None:
        """Keep nothing."""

    def modify(self, *_: object, **__: object) -> None:
        """Keep nothing."""


class TokenTransport:
    """An `http_client` for MSAL over urllib3: half the CPU of its default, and time-outs that it lacks."""

    def __init__(self, connections: int, ca_file: str | None) -> None:
        self._pool = urllib3.PoolManager(
            maxsize=connections,
            retries=False,
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT),
            ca_certs=ca_file,
        )

    def get(self, url: str, params: Any = None, headers: Any = None, **_: Any) -> Answer:  # noqa: ANN401 - MSAL's signature
        """Discovery."""
        return self._send("GET", f"{url}?{urlencode(params)}" if params else url, None, headers)

    def read(self, url: str) -> dict[str, Any]:
        """A JSON document. Raises TokenRefused for whatever is none."""
        answer = self.get(url)
        if answer.status_code != OK or "json" not in answer.headers.get("content-type", ""):
            raise TokenRefused(token_error(answer))
        return dict(json.loads(answer.text))

    def post(self, url: str, params: Any = None, data: Any = None, headers: Any = None, **_: Any) -> Answer:  # noqa: ANN401 - MSAL's signature
        """The token endpoint. Raises TokenRefused for whatever is not a token."""
        target = f"{url}?{urlencode(params)}" if params else url
        form = data if isinstance(data, str) else urlencode(data or {})
        # MSAL makes an id of its own for each call.
        sent = {**(headers or {}), "Content-Type": "application/x-www-form-urlencoded", **request_id()}
        answer = self._send("POST", target, form, sent)
        if answer.status_code != OK or "json" not in answer.headers.get("content-type", ""):
            raise TokenRefused(token_error(answer))
        return answer

    def close(self) -> None:
        """End all connections."""
        self._pool.clear()

    def _send(self, method: str, url: str, body: str | None, headers: Mapping[str, str] | None) -> Answer:
        answer = self._pool.request(method, url, body=body, headers=headers)
        lowered = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status, answer.data.decode(errors="replace"), lowered)


def token_error(answer: Answer) -> TokenError:
    """An error answer read as far as it can be: a proxy's HTML page has a status only."""
    # A page in place of a token is somebody between us and Entra, which passes.
    status = answer.status_code if answer.status_code != OK else 502
    try:
        body = json.loads(answer.text)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return TokenError(max(status, 500), retry_after=_retry_after(answer.headers))
    numbers = body.get("error_codes") or AADSTS.findall(str(body.get("error_description", "")))
    return TokenError(
        status=status,
        error=str(body.get("error", "")),
        suberror=str(body.get("suberror", "")),
        numbers=tuple(int(number) for number in numbers),
        claims=kept_claims(body.get("claims")),
        retry_after=_retry_after(answer.headers),
        trace=body.get("trace_id"),
    )


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Entra sends seconds (RFC 9110 section 10.2.3 allows a date too, which is then left to our own pause)."""
    value = headers.get("retry-after", "")
    return timedelta(seconds=min(int(value), 86400)) if value.isdigit() else None
