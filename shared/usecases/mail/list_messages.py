"""List and search messages, a page at a time."""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from shared.domain.account import Account
from shared.domain.errors import InvalidInput, NotFound, SealBroken
from shared.domain.formats import normalize_address, table_key
from shared.domain.mail.folders import ALL, Folder
from shared.domain.mail.message import LISTED, Message, message_of
from shared.domain.mail.pages import Place, read_place
from shared.domain.mail.search import GraphSearch
from shared.domain.secret import Secret
from shared.usecases.mail.folders import folder_paths, resolve_folder
from shared.usecases.mail.ordered_messages import OrderedMessages, link_options, messages_path
from shared.usecases.mail.session import MailSession, checked_id
from shared.usecases.mail.turns import MAX_CALLS_PER_MAILBOX

EVERYTHING = GraphSearch()
NO_NUMBERED_PAGES = (
    '"page" must be 0 without a cursor: Microsoft Graph does not number the pages of this search. Use nextPageCursor'
)
NOT_A_CURSOR = (
    '"cursor" must be the nextPageCursor of the page before, of the same account, mailbox, path and search. Start again'
    " without it"
)


@dataclass(frozen=True, slots=True)
class WantedPage:
    """Which page; `page`, counted from 0, is without effect beside a cursor."""

    path: str
    size: int
    page: int = 0
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class MessagePage:
    r"""A page. `total` is as it was when the first page was read, or None for a search of Graph, which does not say.

    `paths` are those of folders by id, for the messages of `\All`.
    """

    messages: Sequence[Message]
    page: int
    total: int | None
    next_cursor: str | None
    paths: Mapping[str, str]


async def list_messages(session: MailSession, wanted: WantedPage, search: GraphSearch = EVERYTHING) -> MessagePage:
    """The messages of a folder that the search finds, newest first.

    A cursor is sealed for the account, its mailbox, the folder and the search. Raises InvalidInput for one that is not
    of these and for a path that is none, NotFound for a folder that does not exist, and what the session raises.
    """
    folder = await resolve_folder(session, wanted.path)
    identity = _cursor_identity(await session.account(), folder, search)
    place = await _opened(session, identity, wanted)
    if search.ids:
        messages, after = await _by_id(session, folder, search.ids, place, wanted.size)
    elif search.search:
        messages, after = await _searched(session, folder, search.search, place, wanted.size)
    else:
        messages, after = await _filtered(OrderedMessages(session, folder, search.filter), place, wanted.size)
    return MessagePage(
        messages,
        page=place.page,
        total=after.total,
        next_cursor=await _sealed(session, identity, after) if after.page > place.page else None,
        paths=await folder_paths(session) if folder == ALL and messages else {},
    )


type _Found = tuple[Sequence[Message], Place]
"""Messages, and the place after them; without another page it has the number of this one."""


async def _filtered(ordered: OrderedMessages, place: Place, size: int) -> _Found:
    after, total = place.after, place.total
    if after is None and place.page:
        after, total = await ordered.after_position(place.page * size)
        if after is None:
            return (), replace(place, total=total)
    found = await ordered.page(size, after)
    total = total if found.total is None else found.total
    following = Place(place.page + (found.next is not None), total, found.next)
    return found.messages, following


async def _searched(session: MailSession, folder: Folder, search: str, place: Place, size: int) -> _Found:
    if place.page and place.skip_token is None:
        raise InvalidInput({"page": NO_NUMBERED_PAGES})
    query = {**LISTED, "$search": search, "$top": str(size)}
    if place.skip_token is not None:
        query["$skiptoken"] = place.skip_token
    answer = await session.get(*messages_path(folder), query=query)
    token = link_options(answer.get("@odata.nextLink", "")).get("$skiptoken")
    return [message_of(each) for each in answer["value"]], Place(place.page + (token is not None), skip_token=token)


async def _by_id(session: MailSession, folder: Folder, ids: Sequence[str], place: Place, size: int) -> _Found:
    """Those of these messages that are in the folder, in the order of the ids."""
    calls = asyncio.Semaphore(MAX_CALLS_PER_MAILBOX)

    async def read(message_id: str) -> Message | None:
        try:
            async with calls:
                message = message_of(await session.get("messages", checked_id(message_id), query=LISTED))
        except NotFound:
            return None
        return message if folder == ALL or message.folder_id == folder.id else None

    first, end = place.page * size, (place.page + 1) * size
    found = await asyncio.gather(*(read(each) for each in ids[first:end]))
    return [each for each in found if each is not None], Place(place.page + (end < len(ids)), len(ids))


def _cursor_identity(account: Account, folder: Folder, search: GraphSearch) -> str:
    """What a cursor is sealed for."""
    query = json.dumps([folder.id, search.filter, search.search, search.ids])
    digest = hashlib.sha256(query.encode()).hexdigest()
    return f"cursor|{table_key(account.id)}|{normalize_address(account.email)}|{digest}"


async def _sealed(session: MailSession, identity: str, place: Place) -> str:
    return await session.app.sealing.sealer.seal(identity, Secret(place.written()))


async def _opened(session: MailSession, identity: str, wanted: WantedPage) -> Place:
    """Raises InvalidInput for a cursor of something else."""
    if wanted.cursor is None:
        return Place(wanted.page)
    try:
        return read_place((await session.app.sealing.sealer.unseal(identity, wanted.cursor)).reveal())
    except SealBroken:
        raise InvalidInput({"cursor": NOT_A_CURSOR}) from None
