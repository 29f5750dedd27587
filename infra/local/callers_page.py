"""The page of the app that asked for the sign-in: where the person's browser ends up in the local run."""

import html
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Back at the caller's app</title>
<style>body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 10vh auto; padding: 0 1rem }}</style>
</head>
<body><h1>Back at the caller's app</h1>
<p>This page stands for the app that asked for the sign-in. Mailbind told it:</p>
<dl>{fields}</dl>
<p>The terminal has the command that fetches a token.</p></body></html>
"""


class CallersPage(BaseHTTPRequestHandler):
    """Shows the query that it was called with."""

    def do_GET(self) -> None:
        """Answer any path."""
        query = parse_qsl(urlsplit(self.path).query, keep_blank_values=True)
        fields = "".join(f"<dt>{html.escape(name)}</dt><dd><b>{html.escape(value)}</b></dd>" for name, value in query)
        body = PAGE.format(fields=fields).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: the terminal is for the story."""


@contextmanager
def callers_page() -> Iterator[str]:
    """Serve the page on a free port until the end of the block; gives its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), CallersPage) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/account/settings"
        server.shutdown()
