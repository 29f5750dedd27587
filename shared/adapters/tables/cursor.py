"""Cursors: where a walk over a table continues. They name the keys of the last row."""

import base64
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from shared.adapters.tables.table import Table
from shared.domain.errors import InvalidInput


def query_after(
    table: Table, after: str | None, where: str, parameters: Mapping[str, str]
) -> AsyncIterator[Mapping[str, Any]]:
    """The entities after a cursor that match a filter, in the order of their keys. Raises InvalidInput."""
    if after is not None:
        partition, row = read_cursor(after)
        where += " and PartitionKey ge @after and ( PartitionKey gt @after or RowKey gt @row )"
        parameters = {**parameters, "after": partition, "row": row}
    return table.query(where, parameters)


def cursor_of(entity: Mapping[str, Any]) -> str:
    """The cursor that continues after an entity."""
    return base64.urlsafe_b64encode(msgspec.json.encode([entity["PartitionKey"], entity["RowKey"]])).decode()


def read_cursor(cursor: str) -> tuple[str, str]:
    """The keys after which a cursor continues. Raises InvalidInput."""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor.encode()), type=tuple[str, str])
    except (msgspec.MsgspecError, ValueError):
        raise InvalidInput({"cursor": '"cursor" is not one that was handed out here'}) from None
