"""What the sample app does with a mailbox: it reads and answers mail as any code for Microsoft Graph does.

Only the host and the token are Mailbind's. No access token of the person ever reaches the app.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

FOLDERS = {"inbox": "Inbox", "sentitems": "Sent Items"}
LISTED = "subject,from,toRecipients,receivedDateTime,isRead"
AS_TEXT = {"Prefer": 'outlook.body-content-type="text"'}


@dataclass(frozen=True)
class Mailbox:
    """The mailbox of an account, through confined access. Raises httpx.HTTPError."""

    api: httpx.Client
    account: str

    def messages(self, folder: str) -> list[dict[str, Any]]:
        """The newest ten messages of a folder."""
        query = {"$top": "10", "$select": LISTED, "$orderby": "receivedDateTime desc"}
        answer = self.api.get(self._path(f"mailFolders/{folder}/messages"), params=query)
        return list(answer.raise_for_status().json()["value"])

    def message(self, message: str) -> dict[str, Any]:
        """One message, with its body as text."""
        return dict(self.api.get(self._path(f"messages/{quote(message)}"), headers=AS_TEXT).raise_for_status().json())

    def reply(self, message: str, comment: str) -> None:
        """Answer a message."""
        self.api.post(self._path(f"messages/{quote(message)}/reply"), json={"comment": comment}).raise_for_status()

    def _path(self, rest: str) -> str:
        return f"/v1.0/users/{quote(self.account, safe='@')}/{rest}"
