"""The pages of the sample app, in the style of Mailbind's own.

GET  /                   what it is, and which mailboxes it can connect
GET  /connect            goes to the sign-in link of the mailbox of `account`
GET  /account/settings   where Mailbind sends the browser back to
GET  /mail               the newest messages of `account`, in `folder`
GET  /mail/message       the message with this `id`, and a form to answer it
POST /mail/message       answers it
POST /mailbind           receives events
"""

import secrets
from http import HTTPStatus
from pathlib import Path
from typing import cast
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from infra.local.caller import SUPPORT, CallerServer, QuietHandler, receive_event
from infra.local.parts import ROOT
from infra.local.sample_app.app import MAILBOXES, NAME, SampleApp
from infra.local.sample_app.mail import FOLDERS as MAIL_FOLDERS
from infra.local.sample_app.mail import Mailbox

MAX_REPLY_BYTES = 20_000
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
                case "/mail" if "account" in query and query.get("folder", "inbox") in MAIL_FOLDERS:
                    self._show_folder(app, query["account"], query.get("folder", "inbox"))
                case "/mail/message" if {"account", "id"} <= query.keys():
                    message = Mailbox(app.api, query["account"]).message(query["id"])
                    self._show("message", app, account=query["account"], message=message)
                case _:
                    self.send_error(HTTPStatus.NOT_FOUND)
        except httpx.HTTPError as error:
            self._fail(error)

    def do_POST(self) -> None:  # noqa: N802 - as above
        """Answer a message, or receive an event."""
        target, app = urlsplit(self.path), cast("SampleServer", self.server).app
        if target.path != "/mail/message":
            receive_event(self, app.receiver)
        elif self.headers["Origin"] != app.origin:
            self.send_error(HTTPStatus.FORBIDDEN)  # a form of another page
        else:
            self._reply(app, dict(parse_qsl(target.query)))

    def _show_folder(self, app: SampleApp, account: str, folder: str) -> None:
        messages = Mailbox(app.api, account).messages(folder)
        self._show("mail", app, account=account, folder=folder, folders=MAIL_FOLDERS, messages=messages)

    def _reply(self, app: SampleApp, query: dict[str, str]) -> None:
        size = min(int(self.headers["Content-Length"]), MAX_REPLY_BYTES)
        comment = dict(parse_qsl(self.rfile.read(size).decode())).get("comment", "")
        try:
            Mailbox(app.api, query["account"]).reply(query["id"], comment)
            self._redirect(f"/mail?{urlencode({'account': query['account'], 'folder': 'sentitems'})}")
        except httpx.HTTPError as error:
            self._fail(error)

    def _fail(self, error: httpx.HTTPError) -> None:
        """Say what Mailbind said, if it answered."""
        explain = "Mailbind does not answer. The terminal may say why."
        if isinstance(error, httpx.HTTPStatusError):
            explain = f"Mailbind answered {error.response.status_code}: {error.response.text[:500]}"
        self.send_error(HTTPStatus.BAD_GATEWAY, explain=explain)

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
