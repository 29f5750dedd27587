"""The message by which a shard is handed over."""

from datetime import datetime

import msgspec


class ShardMessage(msgspec.Struct, forbid_unknown_fields=True):
    """Which shard, and by when its rows were due."""

    shard: str
    due_by: datetime


def read_shard_message(body: bytes) -> tuple[str, datetime]:
    """The message's parts. Raises msgspec.ValidationError for what is no such message, which makes it poison."""
    message = msgspec.json.decode(body, type=ShardMessage)
    return message.shard, message.due_by
