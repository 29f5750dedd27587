"""What the sample app does at Mailbind."""

import base64
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from infra.local.caller import SALES, SUPPORT, EventReceiver, SampleMailbox, mailbind_client, start_registration
from infra.local.environment import Environment, write_private

NAME = "Sample app (this computer)"
SCOPES = ["register", "accounts:read", "webhooks", "mail:read", "mail:send"]
MAILBOXES = {mailbox.account: mailbox for mailbox in (SUPPORT, SALES)}
# A link that these say of still works.
OPEN_STATUSES = {"pending", "opened", "waitingForAccess", "failed"}


@dataclass
class SampleApp:
    """The app: `origin` is its own address for browsers, and `links` has the newest link of each account."""

    origin: str
    api: httpx.Client
    receiver: EventReceiver
    links: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def base_url(self) -> str:
        """The address of Mailbind."""
        return str(self.api.base_url).rstrip("/")

    def sign_in_link(self, mailbox: SampleMailbox) -> str:
        """The newest link to bind the mailbox while it works, and otherwise a new one. Raises httpx.HTTPError."""
        link = self.links.get(mailbox.account)
        if link is None or self._get(f"/v1/authentication/form/{link['registration']}")["status"] not in OPEN_STATUSES:
            link = start_registration(self.api, mailbox, f"{self.origin}/account/settings")
            self.links[mailbox.account] = link
        return link["url"]

    def account(self, account: str) -> dict[str, Any] | None:
        """The account as Mailbind describes it; None if there is none. Raises httpx.HTTPError."""
        response = self.api.get(f"/v1/account/{quote(account, safe='')}")
        return None if response.status_code == HTTPStatus.NOT_FOUND else dict(response.raise_for_status().json())

    def subscribe(self, webhook_url: str) -> None:
        """Have events sent to this address. Raises httpx.HTTPError."""
        body = {"url": webhook_url, "secret": self.receiver.secret, "description": NAME}
        self.api.post("/v1/webhooks", json=body).raise_for_status()

    def _get(self, path: str) -> dict[str, Any]:
        return dict(self.api.get(path).raise_for_status().json())


@contextmanager
def sample_app(environment: Environment, origin: str, token_file: Path) -> Iterator[SampleApp]:
    """The app until the end of the block. Its API token is kept in the file. Raises httpx.HTTPError."""
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
    with mailbind_client(environment.base_url, environment.secrets.admin_token) as administrator:
        _remove_earlier_webhooks(administrator)
        token = _stored_token(environment, token_file) or _new_token(administrator, token_file)
    with mailbind_client(environment.base_url, token) as api:
        yield SampleApp(origin, api, EventReceiver(secret))


def _stored_token(environment: Environment, file: Path) -> str | None:
    """The token of an earlier run, if it still does. Links and mailboxes that wait for access depend on it."""
    if not file.exists():
        return None
    stored: dict[str, Any] = json.loads(file.read_text())
    token: str = stored["token"]
    if stored.get("scopes") != SCOPES:
        return None
    with mailbind_client(environment.base_url, token) as api:
        return None if api.get("/v1/webhooks").status_code == HTTPStatus.UNAUTHORIZED else token


def _new_token(administrator: httpx.Client, file: Path) -> str:
    issued = administrator.post("/v1/token", json={"description": NAME, "scopes": SCOPES})
    token: str = issued.raise_for_status().json()["token"]
    write_private(file, {"token": token, "scopes": SCOPES})
    return token


def _remove_earlier_webhooks(administrator: httpx.Client) -> None:
    """Send no events to the ports of earlier runs."""
    for webhook in administrator.get("/v1/webhooks").raise_for_status().json()["webhooks"]:
        if webhook["description"] == NAME:
            administrator.delete(f"/v1/webhooks/{webhook['id']}").raise_for_status()
