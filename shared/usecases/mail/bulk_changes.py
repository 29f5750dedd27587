"""Change, move and delete many messages."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from shared.domain.mail.changes import MessageChange
from shared.domain.mail.folders import ALL, Folder, SpecialUse
from shared.domain.mail.message import Message
from shared.domain.mail.search import GraphSearch
from shared.usecases.mail.bulk import BulkOutcome, Change, change_each
from shared.usecases.mail.change import change_message, delete_for_good, move_message
from shared.usecases.mail.folders import resolve_folder
from shared.usecases.mail.selection import Selection, select_messages
from shared.usecases.mail.session import MailSession


@dataclass(frozen=True, slots=True)
class Target:
    r"""The messages that a search finds in the folder at a path; `\All` is the whole mailbox."""

    path: str
    search: GraphSearch


@dataclass(frozen=True, slots=True)
class BulkResult:
    """Which messages there were to change, and what happened to each."""

    selection: Selection
    outcome: BulkOutcome


async def change_messages(session: MailSession, target: Target, change: MessageChange) -> BulkResult:
    """Change flags and labels. Raises what `MailSession` raises, as long as nothing was changed."""
    started = asyncio.get_running_loop().time()
    folder = await resolve_folder(session, target.path)
    return await _each(
        session, folder, target.search, change.is_done, lambda each: change_message(session, each, change), started
    )


async def move_messages(session: MailSession, target: Target, destination: Folder) -> BulkResult:
    """Move messages to another folder. Raises as `change_messages`."""
    started = asyncio.get_running_loop().time()
    folder = await resolve_folder(session, target.path)
    return await _each(
        session,
        folder,
        target.search,
        lambda message: message.folder_id == destination.id,
        lambda each: move_message(session, each, destination),
        started,
    )


async def delete_messages(session: MailSession, target: Target, *, force: bool) -> tuple[BulkResult, Folder | None]:
    r"""Move messages to Deleted Items; with `force`, or if `path` is Deleted Items itself, delete them for good.

    Returns the folder that they were moved to as well. Messages that are found there in a search of `\All` stay, so
    that a repeated request does not delete for good what the first one moved. Raises as `change_messages`.
    """
    started = asyncio.get_running_loop().time()
    folder = await resolve_folder(session, target.path)
    trash = await resolve_folder(session, SpecialUse.TRASH)
    if force or folder.id == trash.id:
        place = None if folder == ALL else folder

        async def purge(message_id: str) -> None:
            await delete_for_good(session, message_id, place)

        return await _each(session, folder, target.search, lambda _: False, purge, started), None

    result = await _each(
        session,
        folder,
        target.search,
        lambda message: message.folder_id == trash.id,
        lambda each: move_message(session, each, trash),
        started,
    )
    return result, trash


async def _each(
    session: MailSession,
    folder: Folder,
    search: GraphSearch,
    is_done: Callable[[Message], bool],
    change: Change,
    started: float,
) -> BulkResult:
    selection = await select_messages(session, folder, search, is_done, started)
    return BulkResult(selection, await change_each(selection.ids, change, started))
