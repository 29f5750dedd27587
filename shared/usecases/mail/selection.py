"""Find the messages that a bulk operation is about, before it changes any."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from shared.domain.mail.folders import Folder
from shared.domain.mail.message import Message, message_of
from shared.domain.mail.search import GraphSearch
from shared.usecases.mail.bulk import when_free
from shared.usecases.mail.ordered_messages import MAX_PER_CALL, OrderedMessages, link_options, messages_path
from shared.usecases.mail.session import MailSession

MAX_MESSAGES = 10_000  # to change: more than four calls at once can change in the time of a request
MAX_SECONDS_TO_LOOK = 75.0
MESSAGES_PER_PAGE = MAX_PER_CALL - 1  # and one more shows whether there is another page
MAX_SEARCHED = 1000  # Graph: "Use the $search query parameter": a search returns up to 1,000 results
SELECTED = {"$select": "id,parentFolderId,receivedDateTime,isRead,flag,categories"}


@dataclass(frozen=True, slots=True)
class Selection:
    """The `ids` of messages to change, and the number of those that are already as they have to be.

    There may be others that match unless it `is_complete`.
    """

    ids: Sequence[str]
    unchanged: int = 0
    is_complete: bool = True


async def select_messages(
    session: MailSession, folder: Folder, search: GraphSearch, is_done: Callable[[Message], bool], started: float
) -> Selection:
    """The messages of a folder that the search finds. Ids in the search are taken as they are.

    Who repeats a request continues it, because messages that are done are passed over. Raises what the session raises.
    """
    if search.ids:
        return Selection(search.ids)
    to_change, done = dict[str, None](), set[str]()
    latest = started + MAX_SECONDS_TO_LOOK
    async for message in _messages(session, folder, search, started):
        if len(to_change) >= MAX_MESSAGES or asyncio.get_running_loop().time() >= latest:
            return Selection([*to_change], len(done), is_complete=False)
        if is_done(message):
            done.add(message.id)
        else:
            to_change[message.id] = None
    is_cut_off = bool(search.search) and len(to_change) + len(done) >= MAX_SEARCHED
    return Selection([*to_change], len(done), is_complete=not is_cut_off)


async def _messages(
    session: MailSession, folder: Folder, search: GraphSearch, started: float
) -> AsyncIterator[Message]:
    if search.search:
        async for message in _searched(session, folder, search.search, started):
            yield message
        return
    ordered, after = OrderedMessages(session, folder, search.filter, SELECTED), None
    while True:
        page = await when_free(partial(ordered.page, MESSAGES_PER_PAGE, after), started)
        for message in page.messages:
            yield message
        if (after := page.next) is None:
            return


async def _searched(session: MailSession, folder: Folder, search: str, started: float) -> AsyncIterator[Message]:
    """The results of Graph's index. The address of a link is not followed, only its options."""
    query: Mapping[str, str] = {**SELECTED, "$search": search, "$top": str(MAX_SEARCHED)}
    while query:
        answer = await when_free(partial(session.get, *messages_path(folder), query=query), started)
        for json in answer["value"]:
            yield message_of(json)
        query = link_options(answer.get("@odata.nextLink", "")) if answer["value"] else {}
