"""Messages of a folder in one order that no change of the mailbox shifts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from shared.domain.mail.folders import Folder
from shared.domain.mail.message import LISTED, Message, message_of
from shared.domain.mail.pages import Watermark, in_order, next_second, second_of, watermark_after
from shared.usecases.mail.session import MailSession

MAX_PER_CALL = 1000  # Graph: "List messages", optional query parameters
NEWEST_FIRST = {"$orderby": "receivedDateTime desc"}
ONLY_TIMES = {"$select": "id,receivedDateTime"}


class OrderedPage(NamedTuple):
    """Messages, where the next page begins (None after the last one), and how many there are if that was asked."""

    messages: Sequence[Message]
    next: Watermark | None
    total: int | None = None


class _Chunk(NamedTuple):
    messages: list[Message]
    is_last: bool
    total: int | None


@dataclass(frozen=True, slots=True)
class OrderedMessages:
    """The messages of a folder that `filter` finds, all without one.

    A filter begins with receivedDateTime (`search.translated`). `properties` are Graph's $select and $expand. Every
    method raises what the session raises.
    """

    session: MailSession
    folder: Folder
    filter: str = ""
    properties: Mapping[str, str] | None = None

    async def page(self, size: int, after: Watermark | None = None) -> OrderedPage:
        """The page of `size` messages after the watermark; `total` is known for the first page.

        Every message that was there before the first page was read, and still is, is on exactly one page: its place
        depends on itself alone. Takes one call, and two more if the page ends among messages of one second.
        """
        found: list[Message] = []
        if after and after.id:
            found = [each for each in await self._within(after.second) if each.id > after.id]
        before, total, more_follow = after and after.second, None, False
        while len(found) <= size and not more_follow:
            chunk = await self._chunk(before, size + 1 - len(found), counted=after is None and before is None)
            total = total if chunk.total is None else chunk.total
            if chunk.is_last:
                found += in_order(chunk.messages)
                break
            # Of the last second, others may not be in this answer: Graph sorts by time only.
            before = second_of(chunk.messages[-1])
            found += in_order([each for each in chunk.messages if second_of(each) > before])
            more_follow = len(found) >= size
            if not more_follow:
                found += await self._within(before)
        next_page = watermark_after(found, size) if more_follow or len(found) > size else None
        return OrderedPage(found[:size], next_page, total)

    async def after_position(self, position: int) -> tuple[Watermark | None, int]:
        """Where the page begins that this many messages come before, as of now, and how many messages there are.

        None is beyond the last message.
        """
        found = await self._read({**NEWEST_FIRST, **ONLY_TIMES, "$skip": str(position - 1), "$top": "2", **COUNTED})
        total, messages = found["@odata.count"], [message_of(each) for each in found["value"]]
        if len(messages) < 2:  # noqa: PLR2004 - the one before, and the first one of the page
            return None, total
        second = second_of(messages[0])
        if second_of(messages[1]) != second:
            return Watermark(second), total
        newer = await self._read({**NEWEST_FIRST, **ONLY_TIMES, "$top": "1", **COUNTED}, _since(next_second(second)))
        within = await self._within(second)
        index = min(max(position - newer["@odata.count"], 1), len(within)) - 1
        return Watermark(second, within[index].id if within else None), total

    async def _within(self, second: str) -> list[Message]:
        """All messages of one second, by id."""
        query = {**NEWEST_FIRST, **self._properties, "$top": str(MAX_PER_CALL)}
        condition = f"{_since(second)} and {_before(next_second(second))}"
        answer = await self._read(query, condition)
        found = [message_of(each) for each in answer["value"]]
        while "@odata.nextLink" in answer:
            answer = await self._read(link_options(answer["@odata.nextLink"]))
            found += [message_of(each) for each in answer["value"]]
        return in_order(found)

    async def _chunk(self, before: str | None, count: int, *, counted: bool) -> _Chunk:
        """The newest messages before a second. Has some if it is not the last one."""
        query = {**NEWEST_FIRST, **self._properties, "$top": str(min(count, MAX_PER_CALL))}
        answer = await self._read({**query, **(COUNTED if counted else {})}, _before(before) if before else "")
        total = answer.get("@odata.count")
        while not answer["value"] and "@odata.nextLink" in answer:
            answer = await self._read(link_options(answer["@odata.nextLink"]))
        return _Chunk([message_of(each) for each in answer["value"]], "@odata.nextLink" not in answer, total)

    async def _read(self, query: Mapping[str, str], condition: str = "") -> Any:  # noqa: ANN401 - Graph's JSON
        conditions = " and ".join(filter(None, (condition, self.filter)))
        if conditions and "$filter" not in query:
            query = {**query, "$filter": conditions}
        return await self.session.get(*messages_path(self.folder), query=query)

    @property
    def _properties(self) -> Mapping[str, str]:
        return LISTED if self.properties is None else self.properties


COUNTED = {"$count": "true"}


def messages_path(folder: Folder) -> tuple[str, ...]:
    r"""Graph's path of the messages of a folder, or of the whole mailbox for `\All`."""
    return ("mailFolders", folder.id, "messages") if folder.id else ("messages",)


def _since(second: str) -> str:
    return f"receivedDateTime ge {second}"


def _before(second: str) -> str:
    return f"receivedDateTime lt {second}"


def link_options(link: str) -> dict[str, str]:
    """The options of a link of Graph, which leads on in the same collection."""
    return dict(parse_qsl(urlsplit(link).query))
