"""The app's functions called as the host calls them, with what each call costs in storage requests."""

import itertools
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import azure.functions as func

from infra.local.visitor import Visitor
from shared.domain.mail.attachment_id import attachment_id
from shared.domain.secret import Secret
from shared.ports import App
from shared.usecases.tokens.hand_out import hand_out
from tests.app_routes import http_functions
from tests.journey.conftest import Tenant
from tests.storage_requests import StorageRequests, recorded_requests
from tests.usecases.conftest import BOARD, SALES, SUPPORT, bind

FORM = "application/x-www-form-urlencoded"
CONFINED = "v1.0/{*path}"
# Answers with a page that says why.
FAILED_SIGN_IN = "GET oauth"


class Row(NamedTuple):
    """What a route cost the first time, and again; None if it was called once."""

    first: StorageRequests
    again: StorageRequests | None = None

    def __str__(self) -> str:
        cells = [[each.count, each.round_trips] if each else ["", ""] for each in self]
        return " | ".join(str(cell) for pair in cells for cell in pair)


class Counted:
    """Calls the app's functions as the host does, and keeps what each cost, by route."""

    def __init__(self, settings: Mapping[str, str], token: Secret) -> None:
        self.rows: dict[str, Row] = {}
        self._base_url = settings["MAILBIND_BASE_URL"]
        self._token = token
        self._functions = {
            f"{method} {one.template}": one.handler for one in http_functions(settings) for method in one.methods
        }

    async def call(
        self, route: str, body: Any = None, *, query: str = "", cookie: str = "", **parameters: str
    ) -> tuple[func.HttpResponse, StorageRequests]:
        """The answer to a call, and its requests. A body of text is the form of a browser."""
        method, _, template = route.partition(" ")
        path = f"v1.0/{parameters['path']}" if template == CONFINED else template.format(**parameters)
        headers = {"Authorization": f"Bearer {self._token.reveal()}", "Content-Type": "application/json"}
        request = func.HttpRequest(
            method=method,
            url=f"{self._base_url}/{path}{'?' if query else ''}{query}",
            headers={"Cookie": cookie, "Content-Type": FORM} if isinstance(body, str) else headers,
            params={name: values[0] for name, values in parse_qs(query).items()},
            route_params=parameters,
            body=b"" if body is None else (body if isinstance(body, str) else json.dumps(body)).encode(),
        )
        handler = self._functions[route]
        assert handler is not None
        with recorded_requests() as requests:
            answer = await handler(request)
        assert (answer.status_code < HTTPStatus.BAD_REQUEST) is (route != FAILED_SIGN_IN), answer.get_body()
        return answer, requests

    async def once(self, route: str, body: Any = None, **more: str) -> func.HttpResponse:
        """Counts one call."""
        answer, first = await self.call(route, body, **more)
        self.rows[route] = Row(first)
        return answer

    async def twice(self, route: str, body: Any = None, *, name: str | None = None, **more: str) -> func.HttpResponse:
        """Counts a call, and the same call again. Returns the second answer."""
        _, first = await self.call(route, body, **more)
        answer, again = await self.call(route, body, **more)
        self.rows[name or route] = Row(first, again)
        return answer


class People:
    """Binds accounts that the counted process has not seen: each of another person, and through another instance."""

    def __init__(self, app: App, visitor: Visitor, control: Tenant) -> None:
        self.app, self.visitor, self._control = app, visitor, control
        self._numbers = itertools.count(8100)

    def new(self) -> str:
        """A person with access to both mailboxes."""
        login: str = self._control.do("person", create=1, first=next(self._numbers))["people"][0]
        for mailbox in (SUPPORT, SALES, BOARD):
            self._control.do("access", person=login, mailbox=mailbox, fullAccess=True, sendAs=True)
        return login

    def delivered(self) -> tuple[str, str]:
        """The ids of a message, and of its attachment, for callers."""
        file = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentBytes": "YQ=="}
        message = {"subject": "with a file", "attachments": [file]}
        made = self._control.do("deliver", mailbox=SUPPORT, message=message)
        return made["immutableIds"][0], attachment_id(made["immutableIds"][0], made["immutableAttachmentIds"][0][0])

    async def bound(self, mailbox: str = SUPPORT) -> str:
        """An account whose token was handed out a moment ago, so that no hand-out has to record that."""
        account = await bind(self.app, self.visitor, self.new(), email=mailbox)
        await hand_out(self.app, account)
        return account
