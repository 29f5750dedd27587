"""Walks every property of every entity of every table, and says what lies there unsealed that could be a secret.

It knows no table and no property by name but for the few that hold long random text on purpose, so a new column with a
secret in it is found without being told of.
"""

import base64
import re
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Any

from shared.ports import App
from tests.conftest import storage_of
from tests.sealed_text import data_key_of

# Long enough for a token, a key or a ticket, in any of the alphabets that these are written in.
TOKEN = re.compile(r"[A-Za-z0-9_+/=.-]{32,}")
SHA256 = re.compile(r"[0-9a-f]{64}")
# Hashes, ids of Entra, ids of events.
IDS = re.compile(r"[0-9a-f]{64}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b0[0-9a-f]{27}\b")
# Wrapped by the key-encryption key, and its name.
WRAPPED = {("DataKeys", "wrapped"), ("DataKeys", "wrapped_by")}
# Graph's ids of folders are long and random, and open nothing without a token.
FOLDER_IDS = {("Principals", "inbox_id"), ("Mailboxes", "inbox_id")}


@dataclass(frozen=True)
class Found:
    """One property with text in it."""

    table: str
    name: str
    value: str
    entity: dict[str, Any]

    @property
    def data_key(self) -> str | None:
        return data_key_of(self.value)

    def leaks(self, secrets: Collection[str]) -> list[str]:
        """What in it is a known secret, or looks like one and is neither sealed, hashed, wrapped nor readable text."""
        if self.data_key or (self.table, self.name) in WRAPPED:
            return []
        known = [secret for secret in secrets if secret in self.value]
        if (self.table, self.name) in FOLDER_IDS:
            return known
        return known + [token for token in TOKEN.findall(self.value) if not (SHA256.search(token) or _readable(token))]


async def everything(services: App) -> AsyncIterator[Found]:
    """Every property of every entity of every table that the storage has, ours or not."""
    tables = [table.name async for table in storage_of(services).list_tables()]
    for table in tables:
        async for entity in storage_of(services).get_table_client(table).list_entities():
            for name, value in entity.items():
                if isinstance(value, bytes):
                    yield Found(table, name, value.decode(errors="replace"), dict(entity))
                elif isinstance(value, str):
                    yield Found(table, name, value, dict(entity))


def _readable(token: str) -> bool:
    """Ids and addresses, as they are or in the base64url of keys."""
    parts = token.split("~") if "~" in token else [token]
    return all(_plain(part) or _plain(_decoded(part)) for part in parts)


def _plain(text: str) -> bool:
    rest = IDS.sub("", text)
    return bool(text) and not re.search(r"[A-Za-z0-9_-]{25,}", rest) and text.isprintable()


def _decoded(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except ValueError:
        return ""
