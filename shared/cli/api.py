"""The HTTP API, as a client sees it."""

import ipaddress
import os
import ssl
import sys
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx

from shared.cli.text import printable

TIMEOUT = 60  # a reconnect waits for Microsoft


class Failed(Exception):
    """What was asked for did not happen; the message says why, for people."""


class Api:
    """Calls with the operator's token. Raises Failed for every answer that is not a success."""

    def __init__(self, base_url: str, token: str, ca_file: str | None) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        try:
            trust = ssl.create_default_context(cafile=ca_file)
            # Operators may sit behind a proxy, which sees TLS only; over plain http it would see the token.
            proxies = base_url.lower().startswith("https:")
            self._client = httpx.Client(
                base_url=base_url, headers=headers, verify=trust, timeout=TIMEOUT, trust_env=proxies
            )
        except OSError as error:
            raise Failed(f"cannot read {ca_file}: {error.strerror or error}") from None
        except httpx.InvalidURL as error:
            raise Failed(f"the address is none: {error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def call(self, method: str, *path: str, query: dict[str, Any] | None = None, body: Any = None) -> dict[str, Any]:  # noqa: ANN401 - any JSON
        """The answer's object. Parts of the path are quoted, whatever they hold."""
        parameters = {name: value for name, value in (query or {}).items() if value is not None}
        where = "/".join(quote(part, safe="") for part in path)
        try:
            answer = self._client.request(method, f"/v1/{where}", params=parameters, json=body)
        except httpx.HTTPError as error:
            raise Failed(f"{self._client.base_url} cannot be reached: {error}") from None
        try:
            told = answer.json()
        except ValueError:
            told = None
        if not answer.is_success or not isinstance(told, dict):
            raise Failed(_refusal(answer.status_code, told))
        return told


def read_token(file: str | None) -> str:
    """From a file or standard input, or else from the environment; never from the command line, which others can read.

    Raises SystemExit when the file cannot be read.
    """
    if file is None:
        return os.environ.get("MAILBIND_TOKEN", "").strip()
    try:
        return (sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")).strip()
    except OSError as error:
        sys.exit(f"error: cannot read {file}: {error.strerror}")


def trusted(base_url: str) -> bool:
    """Whether a token may be sent there: over TLS, or to this computer."""
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


def _refusal(status: int, told: Any) -> str:  # noqa: ANN401 - any JSON
    if not isinstance(told, dict) or "message" not in told:
        return f"the answer is {status}, and not one of Mailbind's; is the address right?"
    lines = [f"{told['message']} ({told.get('code') or status})"]
    lines += [f"  {field['message']}" for field in told.get("fields", [])]
    return "\n".join(map(printable, lines))
