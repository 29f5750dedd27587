"""A client of one mailbox at the running tenant's Graph."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tests.local.tenant_visitor import LocalTenant

Json = dict[str, Any]


@dataclass(frozen=True)
class MailVisitor:
    """Calls Graph below `user`, such as /users/support@contoso.example, with a token."""

    tenant: LocalTenant
    token: str
    user: str

    def call(self, method: str, path: str, headers: Mapping[str, str] | None = None, **content: Any) -> httpx.Response:
        """Call a path below the user, or a link as it came."""
        url = path if path.startswith("https:") else f"{self.tenant.url}/v1.0{self.user}{path}"
        return self.tenant.http.request(
            method, url, headers={"Authorization": f"Bearer {self.token}", **(headers or {})}, **content
        )

    def get(self, path: str, **headers: str) -> Json:
        """The JSON of a path."""
        response = self.call("GET", path, {name.replace("_", "-"): value for name, value in headers.items()})
        assert 200 == response.status_code, response.text
        return dict(response.json())

    def items(self, path: str) -> list[Json]:
        """The items of a collection, of one page."""
        return list(self.get(path)["value"])

    def send(self, method: str, path: str, **body: Any) -> Json:
        """Change something; the JSON of the answer, if it has any."""
        response = self.call(method, path, json=body)
        assert response.is_success, response.text
        return dict(response.json()) if response.content else {}

    def refused(self, path: str, method: str = "GET", **body: Any) -> tuple[int, str]:
        """Status and error code of a call that fails."""
        response = self.call(method, path, json=body or None)
        return response.status_code, str(response.json()["error"]["code"])

    def deliver(self, count: int = 1, author: str = "someone@fabrikam.example", **message: Any) -> list[str]:
        """Let mail arrive; its ids."""
        body = {"from": recipient(author), **message}
        return list(
            self.tenant.control("deliver", mailbox=self.user.rpartition("/")[2], message=body, count=count)["ids"]
        )


def recipient(address: str, name: str = "") -> Json:
    return {"emailAddress": {"address": address, "name": name or address}}


def subjects(messages: list[Json]) -> list[str]:
    return [message["subject"] for message in messages]
