"""A client of the HTTP API."""

import getpass
import ipaddress
import os
import ssl
import sys
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx

from shared.cli.output import printable
from shared.cli.progress import Progress

TIMEOUT_SECONDS = 60  # reconnecting waits for Microsoft
MAX_PAGE_SIZE = 1000


class Failed(Exception):
    """A command failed. The message says why; `body` is what --json prints, in the shape of the API's errors."""

    def __init__(self, message: str, body: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.body = body or {"error": "Command failed", "message": message, "code": "CommandFailed"}

    @property
    def is_temporary(self) -> bool:
        """Whether the same request may succeed later: no answer, too many requests, or an error of the server."""
        status = self.body.get("statusCode")
        return status is None or status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR


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
            raise Failed(f"{ca_file} cannot be read: {error.strerror or error}") from None
        except httpx.InvalidURL as error:
            raise Failed(f"The address is not a URL: {error}") from None
        self.progress = Progress(f"Waiting for {base_url}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()
        self._client.close()

    def call(
        self,
        method: str,
        *path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,  # noqa: ANN401 - any JSON
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """Send a request and return the object in the response. The parts of the path are percent-encoded.

        Without an answer, the message of Failed names the `idempotency_key` with which the request can be repeated.
        """
        parameters = {name: value for name, value in (query or {}).items() if value is not None}
        encoded_path = "/".join(quote(part, safe="") for part in path)
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        try:
            status, decoded = self._request(
                method, f"/v1/{encoded_path}", params=parameters, json=body, headers=headers
            )
        except Failed as failed:
            if idempotency_key:
                raise Failed(f"{failed}. To try again safely, add --idempotency-key {idempotency_key}") from None
            raise
        if status >= HTTPStatus.BAD_REQUEST or not isinstance(decoded, dict):
            raise _failed(status, decoded)
        return decoded

    def all_pages(self, path: str, name: str) -> dict[str, Any]:
        """The first page of a list, with the items of all pages under `name`."""
        first = self.call("GET", path, query={"pageSize": MAX_PAGE_SIZE})
        for number in range(1, first["pages"]):
            first[name] += self.call("GET", path, query={"pageSize": MAX_PAGE_SIZE, "page": number})[name]
        return first

    def health(self) -> dict[str, Any]:
        """The answer of GET /health, whatever its status."""
        status, decoded = self._request("GET", "/health")
        if not isinstance(decoded, dict) or "success" not in decoded:
            raise _failed(status, decoded)
        return decoded

    def _request(self, method: str, path: str, **options: Any) -> tuple[int, Any]:  # noqa: ANN401 - any JSON
        """The status, and the JSON in the body, or None."""
        self.progress.start()
        try:
            response = self._client.request(method, path, **options)
        except httpx.HTTPError as error:
            raise Failed(f"{self._client.base_url} cannot be reached: {printable(error)}") from None
        try:
            return response.status_code, response.json()
        except ValueError:
            return response.status_code, None


def read_token(file: str | None) -> str:
    """Read the API token from a file, standard input (`-`) or the environment. Raises Failed if that fails.

    There is no argument for it, because other users of the computer can read command lines.
    """
    if file is None:
        return os.environ.get("MAILBIND_TOKEN", "").strip()
    return sys.stdin.read().strip() if file == "-" else read_file(file).strip()


def read_secret(prompt: str) -> str:
    """Read a secret from standard input; a terminal shows the prompt, and not the secret. Raises Failed."""
    try:
        secret = getpass.getpass(f"{prompt}: ") if sys.stdin.isatty() else sys.stdin.read()
    except EOFError:
        secret = ""
    if not secret.strip():
        raise Failed("There is no secret on standard input.")
    return secret.strip()


def read_file(file: str) -> str:
    """The text of a file. Raises Failed."""
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise Failed(f"{file} cannot be read: {reason}") from None


def full_id(beginning: str, ids: Iterable[str], kind: str) -> str:
    """The one id that begins so; terminals show only the beginning of long ids. Raises Failed."""
    found = [identity for identity in ids if identity.startswith(beginning.removesuffix("…"))]
    if beginning in found:
        return beginning
    if len(found) != 1:
        raise Failed(f"The ids of {len(found)} {kind}s begin with this." if found else f"No such {kind}.")
    return found[0]


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


def _failed(status: int, body: Any) -> Failed:  # noqa: ANN401 - any JSON
    if not isinstance(body, dict) or "message" not in body:
        message = f"The response has the status {status} and is not from Mailbind. Is the address correct?"
        problem = {"error": "Bad response", "message": message, "code": "BadResponse"}
        return Failed(message, {"statusCode": status, **problem})
    lines = [f"{body['message']} ({body.get('code') or status})"]
    lines += [f"  {field['message']}" for field in body.get("fields", [])]
    return Failed("\n".join(map(printable, lines)), body)
