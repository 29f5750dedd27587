"""What every calling application of the local run does: it asks for sign-in links and receives events."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

import httpx
from standardwebhooks import Webhook, WebhookVerificationError


class SampleMailbox(NamedTuple):
    """A shared mailbox of the local tenant, the account that it is bound as, and its name for people."""

    account: str
    email: str
    name: str


SUPPORT = SampleMailbox("shared", "support@contoso.example", "Contoso Support")
SALES = SampleMailbox("sales", "sales@contoso.example", "Contoso Sales")
# The person with access to both.
PERSON = "alice@contoso.example"


class QuietHandler(BaseHTTPRequestHandler):
    """Writes no access log: the terminal is for people."""

    def log_message(self, *_: object) -> None:
        """Do nothing."""


class CallerServer(ThreadingHTTPServer):
    """A server of the calling application. It listens on a free port from the beginning, and answers when served."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)

    @contextmanager
    def serving(self) -> Iterator[Self]:
        """Answer requests until the end of the block."""
        threading.Thread(target=self.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            self.shutdown()


@dataclass
class EventReceiver:
    """Events in the order of their arrival. An event without a valid signature is rejected."""

    secret: str
    url: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The names of the events."""
        return [event["event"] for event in self.events]

    def receive(self, headers: dict[str, str], body: bytes) -> int:
        """Verify and store an event; returns the HTTP status."""
        try:
            self.events.append(Webhook(self.secret).verify(body, headers))
        except WebhookVerificationError:
            return 401
        return 204


def mailbind_client(base_url: str, token: str) -> httpx.Client:
    """A client of Mailbind's API."""
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=base_url, headers=headers, timeout=30, trust_env=False)


def start_registration(api: httpx.Client, mailbox: SampleMailbox, redirect_url: str) -> dict[str, str]:
    """Ask Mailbind for a sign-in link. Returns `url`, `registration` and `expires`."""
    response = api.post(
        "/v1/authentication/form",
        json={
            "account": mailbox.account,
            "name": mailbox.name,
            "email": mailbox.email,
            "delegated": True,
            "redirectUrl": redirect_url,
        },
    )
    return dict(response.raise_for_status().json())


@contextmanager
def event_receiver(secret: str) -> Iterator[EventReceiver]:
    """Receive events on a free port until the end of the block."""
    receiver = EventReceiver(secret)

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            receive_event(self, receiver)

    with CallerServer(Handler) as server, server.serving():
        receiver.url = f"http://127.0.0.1:{server.server_port}/mailbind"
        yield receiver


def receive_event(handler: BaseHTTPRequestHandler, receiver: EventReceiver) -> None:
    """Answer the request of a webhook."""
    body = handler.rfile.read(int(handler.headers["content-length"]))
    handler.send_response(receiver.receive(dict(handler.headers), body))
    handler.end_headers()
