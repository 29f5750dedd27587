"""The pages of the sample app, in the style of Mailbind's own.

GET  /                   what it is, and which mailboxes it can connect
GET  /connect            goes to the sign-in link of the mailbox of `account`
GET  /account/settings   where Mailbind sends the browser back to
POST /mailbind           receives events
"""

import secrets
from http import HTTPStatus
from pathlib import Path
from typing import cast
from urllib.parse import parse_qsl, urlsplit

import httpx
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from infra.local.caller import SUPPORT, CallerServer, QuietHandler, receive_event
from infra.local.parts import ROOT
from infra.local.sample_app.app import MAILBOXES, NAME, SampleApp

FOLDERS = (Path(__file__).with_name("pages"), ROOT / "shared/browser/templates")
PAGES = Environment(loader=FileSystemLoader(FOLDERS), autoescape=True, undefined=StrictUndefined, trim_blocks=True)


class Handler(QuietHandler):
    """Answers one request."""

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        """Show a page, or go to the sign-in link."""
        target, app = urlsplit(self.path), cast("SampleServer", self.server).app
        query = dict(parse_qsl(target.query, keep_blank_values=True))
        try:
            match target.path:
                case "/":
                    self._show("home", app)
                case "/connect" if mailbox := MAILBOXES.get(query.get("account", SUPPORT.account)):
                    self._redirect(app.sign_in_link(mailbox))
                case "/account/settings" if "account" in query:
                    self._show("returned", app, query=query, account=app.account(query["account"]))
                case _:
                    self.send_error(HTTPStatus.NOT_FOUND)
        except httpx.HTTPError:
            self.send_error(HTTPStatus.BAD_GATEWAY, explain="Mailbind does not answer. The terminal may say why.")

    def do_POST(self) -> None:  # noqa: N802 - as above
        """Receive an event."""
        receive_event(self, cast("SampleServer", self.server).app.receiver)

    def _show(self, template: str, app: SampleApp, **values: object) -> None:
        nonce = secrets.token_urlsafe()
        page = PAGES.get_template(f"{template}.html")
        body = page.render(app=app, name=NAME, mailboxes=MAILBOXES, nonce=nonce, **values).encode()
        self.send_response(HTTPStatus.OK)
        policy = f"default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; frame-ancestors 'none'"
        self.send_header("Content-Security-Policy", policy)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _redirect(self, url: str) -> None:
        self.send_response(HTTPStatus.FOUND)
        self.send_header("Location", url)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", "0")
        self.end_headers()


class SampleServer(CallerServer):
    """The server. `app` has to be set before it is served; its address is known from the beginning."""

    app: SampleApp

    def __init__(self) -> None:
        super().__init__(Handler)

    @property
    def origin(self) -> str:
        """The address for browsers. Mailbind's pages name the sample app by this host."""
        return f"http://localhost:{self.server_port}"

    @property
    def webhook_url(self) -> str:
        """The address for events: this server does not listen on ::1, which `localhost` may mean too."""
        return f"http://127.0.0.1:{self.server_port}/mailbind"
