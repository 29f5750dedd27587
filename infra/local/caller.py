"""The calling application in the local run: it receives events, and shows the page that the browser returns to."""

import html
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from standardwebhooks import Webhook, WebhookVerificationError

PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Back at the caller's app</title>
<style>body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 10vh auto; padding: 0 1rem }}</style>
</head>
<body><h1>Back at the caller's app</h1>
<p>This page stands for the app that asked for the sign-in. Mailbind sent it:</p>
<dl>{fields}</dl>
<p>The terminal has the command that fetches a token.</p></body></html>
"""


class QuietHandler(BaseHTTPRequestHandler):
    """Writes no access log: the terminal is for people."""

    def log_message(self, *_: object) -> None:
        """Do nothing."""


class ReturnPage(QuietHandler):
    """Shows the query of the request."""

    def do_GET(self) -> None:
        """Respond to any path."""
        query = parse_qsl(urlsplit(self.path).query, keep_blank_values=True)
        fields = "".join(f"<dt>{html.escape(name)}</dt><dd><b>{html.escape(value)}</b></dd>" for name, value in query)
        body = PAGE.format(fields=fields).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


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


@contextmanager
def return_page() -> Iterator[str]:
    """Serve the page on a free port until the end of the block; yields its URL."""
    with _serve(ReturnPage) as origin:
        yield f"{origin}/account/settings"


@contextmanager
def event_receiver(secret: str) -> Iterator[EventReceiver]:
    """Receive events on a free port until the end of the block."""
    receiver = EventReceiver(secret)

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(receiver.receive(dict(self.headers), body))
            self.end_headers()

    with _serve(Handler) as origin:
        receiver.url = f"{origin}/mailbind"
        yield receiver


@contextmanager
def _serve(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
