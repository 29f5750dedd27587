"""A client of the HTTP API."""

import ipaddress
import os
import ssl
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx

TIMEOUT_SECONDS = 60  # reconnecting waits for Microsoft


class Failed(Exception):
    """A command failed; the message says why."""


class Api:
    """Calls with the operator's token. Raises Failed for every unsuccessful response."""

    def __init__(self, base_url: str, token: str, ca_file: str | None) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        try:
            trust = ssl.create_default_context(cafile=ca_file)
            # A proxy is used for https only, because over plain http it would see the token.
            use_proxies = base_url.lower().startswith("https:")
            self._client = httpx.Client(
                base_url=base_url, headers=headers, verify=trust, timeout=TIMEOUT_SECONDS, trust_env=use_proxies
            )
        except OSError as error:
            raise Failed(f"cannot read {ca_file}: {error.strerror or error}") from None
        except httpx.InvalidURL as error:
            raise Failed(f"the address is not a URL: {error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def call(self, method: str, *path: str, query: dict[str, Any] | None = None, body: Any = None) -> dict[str, Any]:  # noqa: ANN401 - any JSON
        """Send a request and return the object in the response. The parts of the path are percent-encoded."""
        parameters = {name: value for name, value in (query or {}).items() if value is not None}
        encoded_path = "/".join(quote(part, safe="") for part in path)
        status, decoded = self._request(method, f"/v1/{encoded_path}", params=parameters, json=body)
        if status >= HTTPStatus.BAD_REQUEST or not isinstance(decoded, dict):
            raise Failed(_error_message(status, decoded))
        return decoded

    def health(self) -> dict[str, Any]:
        """The answer of GET /health, whatever its status."""
        status, decoded = self._request("GET", "/health")
        if not isinstance(decoded, dict) or "success" not in decoded:
            raise Failed(_error_message(status, decoded))
        return decoded

    def _request(self, method: str, path: str, **options: Any) -> tuple[int, Any]:  # noqa: ANN401 - any JSON
        """The status, and the JSON in the body, or None."""
        try:
            response = self._client.request(method, path, **options)
        except httpx.HTTPError as error:
            raise Failed(f"{self._client.base_url} cannot be reached: {error}") from None
        try:
            return response.status_code, response.json()
        except ValueError:
            return response.status_code, None


def read_token(file: str | None) -> str:
    """Read the token from a file, standard input (`-`) or the environment. Raises SystemExit if that fails.

    There is no argument for it, because other users of the computer can read command lines.
    """
    if file is None:
        return os.environ.get("MAILBIND_TOKEN", "").strip()
    try:
        return (sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")).strip()
    except OSError as error:
        sys.exit(f"error: cannot read {file}: {error.strerror}")


def is_safe_for_token(base_url: str) -> bool:
    """Whether a token may be sent to the address: over TLS, or on this computer."""
    try:
        parts = urlsplit(base_url)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _error_message(status: int, body: Any) -> str:  # noqa: ANN401 - any JSON
    if not isinstance(body, dict) or "message" not in body:
        return f"the response has the status {status} and is not from Mailbind; is the address correct?"
    lines = [f"{body['message']} ({body.get('code') or status})"]
    lines += [f"  {field['message']}" for field in body.get("fields", [])]
    return "\n".join(map(printable, lines))


def printable(value: object) -> str:
    """A value as text without control characters, because names come from people who are not trusted."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(printable, value)) or "-"
        case _:
            return "".join(letter if letter.isprintable() else "?" for letter in str(value))
