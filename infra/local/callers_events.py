"""Where the app that asked hears what happened: takes signed events on this computer, and keeps them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError


@dataclass
class CallersEvents:
    """Events in the order in which they came; none is believed without the signature of `secret`."""

    secret: str
    url: str = ""
    took: list[dict[str, Any]] = field(default_factory=list)

    def take(self, headers: dict[str, str], body: bytes) -> int:
        """The status to answer with."""
        try:
            self.took.append(Webhook(self.secret).verify(body, headers))
        except WebhookVerificationError:
            return 401
        return 204


@contextmanager
def callers_events(secret: str) -> Iterator[CallersEvents]:
    """Listen on a free port until the end of the block."""
    events = CallersEvents(secret)

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(events.take(dict(self.headers), body))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing: the terminal is for the story."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        events.url = f"http://127.0.0.1:{server.server_port}/mailbind"
        yield events
        server.shutdown()
