"""Where a page of messages begins, so that it neither repeats nor leaves out any that was there all the time.

Messages are in one order: newest first, and by id within a second, because that is as exact as Graph tells times.
"""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from shared.domain.mail.message import Message

SECOND = timedelta(seconds=1)


class Watermark(NamedTuple):
    """All messages down to this one were shown: the whole second if there is no `id`, or else up to that id in it."""

    second: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where the next page begins, counted from 0, and how many messages there were when the first one was read.

    `skip_token` is Graph's, of a search.
    """

    page: int = 0
    total: int | None = None
    after: Watermark | None = None
    skip_token: str | None = None

    def written(self) -> str:
        """The place as a text, for `read_place`."""
        return json.dumps(asdict(self), separators=(",", ":"))


def read_place(text: str) -> Place:
    """What `written` wrote."""
    place = json.loads(text)
    return Place(**{**place, "after": Watermark(*place["after"]) if place["after"] else None})


def second_of(message: Message) -> str:
    """When it arrived, without fractions of the second."""
    return _written(datetime.fromisoformat(message.received).replace(microsecond=0))


def next_second(second: str) -> str:
    """The second after it."""
    return _written(datetime.fromisoformat(second) + SECOND)


def watermark_after(messages: list[Message], size: int) -> Watermark:
    """Where the page ends that has the first `size` of these; the others follow, or messages of earlier seconds."""
    last, following = messages[size - 1], messages[size : size + 1]
    is_within = [second_of(each) for each in following] == [second_of(last)]
    return Watermark(second_of(last), last.id if is_within else None)


def in_order(messages: list[Message]) -> list[Message]:
    """Newest first, and by id within a second."""
    return sorted(sorted(messages, key=lambda each: each.id), key=second_of, reverse=True)


def _written(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
