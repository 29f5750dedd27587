"""Sends events to webhooks: signed, to checked addresses, following nothing."""

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from urllib.parse import unquote, urlsplit

import httpcore
from standardwebhooks import Webhook as Signer

from shared.adapters.public_addresses import (
    AddressRefused,
    CheckedBackend,
    Resolve,
    is_loopback,
    is_public,
    look_up,
)
from shared.domain.secret import Secret
from shared.domain.webhook import LOST_SECRETS_MESSAGE, SIGNING_SECRET_PREFIX, Delivery, Webhook
from shared.ports import Answer, TargetRefused

CONNECT, IN_ALL = 10.0, 30.0  # seconds
TIMEOUTS = {"connect": CONNECT, "read": IN_ALL, "write": CONNECT, "pool": CONNECT}
READ = 64 * 1024  # bytes of an answer, so that its connection can be used again
IDLE = 15.0
AGENT = "mailbind"


@dataclass
class WebhookSender:
    """`loopback` lets events go to this computer too, and there over plain http: for local work only.

    No proxy of the environment is asked, and no redirect followed: either would lead past the check of the address.
    """

    ca_file: str | None
    loopback: bool
    resolve: Resolve = look_up

    async def check(self, url: Secret) -> None:
        """Look up where the URL leads."""
        parts = urlsplit(url.reveal())
        try:
            async with asyncio.timeout(CONNECT):
                await self._backend(parts.scheme).addresses(parts.hostname or "", parts.port or 443)
        except AddressRefused as refused:
            raise TargetRefused(str(refused)) from None
        except TimeoutError:
            raise TargetRefused("its name was not looked up in time") from None

    async def send(self, webhook: Webhook, delivery: Delivery, now: datetime) -> Answer:
        """Post the delivery's body."""
        if webhook.has_lost_secrets:
            raise TargetRefused(LOST_SECRETS_MESSAGE)
        try:
            async with asyncio.timeout(IN_ALL):
                return await self._post(webhook, delivery, now)
        except AddressRefused as refused:
            raise TargetRefused(str(refused)) from None
        except (TimeoutError, httpcore.TimeoutException):
            raise TargetRefused("it did not answer in time") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            trusted = "CERTIFICATE_VERIFY_FAILED" not in str(error)
            raise TargetRefused("it could not be reached" if trusted else "its certificate is not trusted") from None

    async def close(self) -> None:
        """End all connections."""
        for name in ("_https", "_http"):
            if name in self.__dict__:
                await self.__dict__[name].aclose()
        for name in ("_public", "_local"):
            if name in self.__dict__:
                self.__dict__[name].close()

    async def _post(self, webhook: Webhook, delivery: Delivery, now: datetime) -> Answer:
        parts, body = urlsplit(webhook.url.reveal()), delivery.body.encode()
        self._backend(parts.scheme)
        pool = self._https if parts.scheme == "https" else self._http
        address = parts._replace(netloc=_host(webhook), path=parts.path or "/", fragment="").geturl()
        headers = [*_headers(webhook, delivery, body, now).items()]
        sent = pool.stream("POST", address, headers=headers, content=body, extensions={"timeout": TIMEOUTS})
        async with sent as answer:
            # The status is all that counts: whatever becomes of the rest, the delivery was taken or it was not.
            with suppress(httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, TimeoutError):
                async with asyncio.timeout(1):
                    await _read(answer)
            return Answer(answer.status, _retry_after(answer.headers))

    def _backend(self, scheme: str) -> CheckedBackend:
        if scheme == "https":
            return self._public
        if not self.loopback:
            raise TargetRefused("it is not an https address")
        return self._local

    @cached_property
    def _public(self) -> CheckedBackend:
        return CheckedBackend(
            lambda address: is_public(address) or (self.loopback and is_loopback(address)), self.resolve
        )

    @cached_property
    def _local(self) -> CheckedBackend:
        return CheckedBackend(is_loopback, self.resolve)

    @cached_property
    def _https(self) -> httpcore.AsyncConnectionPool:
        trust = ssl.create_default_context()
        if self.ca_file:
            trust.load_verify_locations(self.ca_file)
        return _pool(self._public, trust)

    @cached_property
    def _http(self) -> httpcore.AsyncConnectionPool:
        return _pool(self._local, None)


def _pool(backend: CheckedBackend, trust: ssl.SSLContext | None) -> httpcore.AsyncConnectionPool:
    # Without a limit: connections that hang are their target's own, which has a few at a time, and never another's.
    return httpcore.AsyncConnectionPool(
        ssl_context=trust, max_connections=None, keepalive_expiry=IDLE, network_backend=backend
    )


def _host(webhook: Webhook) -> str:
    return urlsplit(webhook.url.reveal()).netloc.rpartition("@")[2]


def _headers(webhook: Webhook, delivery: Delivery, body: bytes, now: datetime) -> dict[str, str]:
    """Those of Standard Webhooks, EmailEngine's beside them, and the target's own, which take the place of no other.

    `X-EE-Wh-Signature` is base64url of HMAC-SHA-256 over the body, by the secret as it is written.
    """
    parts, secret = urlsplit(webhook.url.reveal()), webhook.secret.reveal()
    signer = Signer(secret if secret.startswith(SIGNING_SECRET_PREFIX) else secret.encode())
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    own: dict[str, str] = json.loads(webhook.headers.reveal() or "{}")
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        own["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return own | {
        "host": _host(webhook),
        "user-agent": AGENT,
        "content-type": "application/json",
        "content-length": str(len(body)),
        "webhook-id": delivery.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signer.sign(delivery.id, now, delivery.body),
        "x-ee-wh-id": f"{webhook.id}.{delivery.id}",
        "x-ee-wh-attempts-made": str(delivery.attempts + 1),
        "x-ee-wh-queued-time": f"{max(int((now - delivery.queued).total_seconds()), 0)}s",
        "x-ee-wh-event-id": delivery.id,
        "x-ee-wh-signature": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
    }


async def _read(answer: httpcore.Response) -> None:
    read = 0
    async for part in answer.aiter_stream():
        read += len(part)
        if read > READ:
            return


def _retry_after(headers: Iterable[tuple[bytes, bytes]]) -> timedelta | None:
    """Seconds (RFC 9110 section 10.2.3); dates are left to our own patience."""
    found = next((value for name, value in headers if name.lower() == b"retry-after"), b"")
    return timedelta(seconds=int(found[:8])) if found.isdigit() else None
