"""Carries MSAL's HTTP calls, and says what MSAL would swallow: status, Retry-After, suberror and claims."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msal
import urllib3

from shared.adapters.token_answer import Answer, check_tokens, json_object
from shared.domain.audit import client_request_id_header

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 15.0


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
        return json_object(self.get(url))

    def post(self, url: str, params: Any = None, data: Any = None, headers: Any = None, **_: Any) -> Answer:  # noqa: ANN401 - MSAL's signature
        """The token endpoint. Raises TokenRefused for whatever is not a token."""
        target = f"{url}?{urlencode(params)}" if params else url
        form = data if isinstance(data, str) else urlencode(data or {})
        # MSAL makes an id of its own for each call.
        sent = {**(headers or {}), "Content-Type": "application/x-www-form-urlencoded", **client_request_id_header()}
        answer = self._send("POST", target, form, sent)
        check_tokens(answer)
        return answer

    def close(self) -> None:
        """End all connections."""
        self._pool.clear()

    def _send(self, method: str, url: str, body: str | None, headers: Mapping[str, str] | None) -> Answer:
        answer = self._pool.request(method, url, body=body, headers=headers)
        lowered = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status, answer.data.decode(errors="replace"), lowered)
