"""List the folders of a mailbox, and find one by its path."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from shared.domain.errors import InvalidInput, NotFound
from shared.domain.mail.folders import (
    ALL,
    INBOX,
    WELL_KNOWN_NAMES,
    Folder,
    SpecialUse,
    listing_order,
    names_of,
    path_of,
    special_use_of,
)
from shared.usecases.mail.session import MailSession
from shared.usecases.mail.turns import MAX_CALLS_PER_MAILBOX

FOLDERS_PER_CALL = 250
MAX_PATH_CHARACTERS = 1024
SELECTED = {"$select": "id,displayName,childFolderCount,unreadItemCount,totalItemCount,isHidden"}
# Graph: "List mailFolders", include hidden folders.
WITH_HIDDEN = {**SELECTED, "includeHiddenFolders": "true", "$top": str(FOLDERS_PER_CALL)}
SEARCH_FOLDER = "#microsoft.graph.mailSearchFolder"

type Path = tuple[str, ...]


async def list_folders(session: MailSession) -> Sequence[Folder]:
    r"""All folders, also nested and hidden ones, in EmailEngine's order after `\All`. Raises what the session raises.

    Takes one call for each folder with folders inside, and one for each special use.
    """
    await session.account()  # so that it is remembered before several calls ask for it at the same time
    folders = await _all_folders(session, await _special_uses(session))
    counted = replace(ALL, messages=sum(each.messages for each in folders), unseen=sum(each.unseen for each in folders))
    return sorted([counted, *folders], key=listing_order)


async def folder_paths(session: MailSession) -> Mapping[str, str]:
    """The paths of all folders by id. Raises what the session raises."""
    return {each.id: each.path for each in await _all_folders(session, {})}


async def resolve_folder(session: MailSession, path: str) -> Folder:
    r"""The folder at a path: display names from the top, or a special use such as `\Sent`. `INBOX` is in any case.

    Takes one call for each level of the path. `special_use` is set if the path names it. Raises InvalidInput for a text
    that is no path, NotFound for a folder that does not exist, and what the session raises.
    """
    if not path or len(path) > MAX_PATH_CHARACTERS:
        raise InvalidInput({"path": f'"path" must be the path of a folder, at most {MAX_PATH_CHARACTERS} characters'})
    special_use = special_use_of(path)
    if special_use is SpecialUse.ALL:
        return ALL
    if special_use is not None:
        return await _well_known(session, special_use)
    return await _named(session, names_of(path))


async def resolve_destination(session: MailSession, path: str) -> Folder:
    """The folder to put messages into. Raises as `resolve_folder`, and InvalidInput for the whole mailbox."""
    folder = await resolve_folder(session, path)
    if folder == ALL:
        raise InvalidInput({"path": '"path" must name one folder: \\All is the whole mailbox'})
    return folder


async def _named(session: MailSession, names: list[str]) -> Folder:
    """The folder with these display names from the top. The inbox is `INBOX` whatever its display name is."""
    folder: Folder | None = None
    parents: Path = ("mailFolders",)
    above: list[str] = []
    if names[0].casefold() == INBOX.casefold() and len(names) > 1:
        folder = await _well_known(session, SpecialUse.INBOX)
        parents, above = ("mailFolders", folder.id, "childFolders"), [folder.name]
    for name in names[len(above) :]:
        children = [each async for each in _children(session, parents)]
        # Exchange keeps display names apart without regard to case.
        child = next((each for each in children if each["displayName"].casefold() == name.casefold()), None)
        if child is None:
            raise _no_such_folder()
        folder = _folder(child, above, {})
        parents, above = ("mailFolders", folder.id, "childFolders"), [*above, folder.name]
    assert folder is not None  # noqa: S101 - a path has at least one name
    return folder


async def _well_known(session: MailSession, special_use: SpecialUse) -> Folder:
    """Raises NotFound: a mailbox need not have an archive."""
    try:
        json = await session.get("mailFolders", WELL_KNOWN_NAMES[special_use], query=SELECTED)
    except NotFound:
        raise _no_such_folder() from None
    return _folder(json, [], {json["id"]: special_use})


async def _special_uses(session: MailSession) -> Mapping[str, SpecialUse]:
    """The special uses by the ids of their folders. In v1.0 a folder does not say its well-known name itself."""

    async def found(special_use: SpecialUse) -> tuple[str, SpecialUse] | None:
        try:
            return (await _well_known(session, special_use)).id, special_use
        except NotFound:
            return None

    return dict(each for each in await asyncio.gather(*map(found, WELL_KNOWN_NAMES)) if each is not None)


async def _all_folders(session: MailSession, special_uses: Mapping[str, SpecialUse]) -> list[Folder]:
    return await _below(session, ("mailFolders",), [], special_uses, asyncio.Semaphore(MAX_CALLS_PER_MAILBOX))


async def _below(
    session: MailSession, path: Path, above: list[str], special_uses: Mapping[str, SpecialUse], calls: asyncio.Semaphore
) -> list[Folder]:
    """The folders below the one at this path of Graph, on every level. `above` are its names from the top."""

    async def below(json: dict[str, Any]) -> list[Folder]:
        inner = ("mailFolders", json["id"], "childFolders")
        return await _below(session, inner, [*above, json["displayName"]], special_uses, calls)

    async with calls:
        children = [each async for each in _children(session, path)]
    deeper = await asyncio.gather(*(below(each) for each in children if each["childFolderCount"]))
    return [*(_folder(each, above, special_uses) for each in children), *chain.from_iterable(deeper)]


async def _children(session: MailSession, path: Path) -> AsyncIterator[dict[str, Any]]:
    """Graph's folders directly inside, however many there are.

    Without search folders, which show messages of others (Graph: "mailSearchFolder resource type").
    """
    skip = 0
    while True:
        answer = await session.get(*path, query={**WITH_HIDDEN, "$skip": str(skip)})
        for json in answer["value"]:
            if json.get("@odata.type") != SEARCH_FOLDER:
                yield json
        skip += len(answer["value"])
        if "@odata.nextLink" not in answer or not answer["value"]:
            return


def _folder(json: dict[str, Any], above: list[str], special_uses: Mapping[str, SpecialUse]) -> Folder:
    return Folder(
        id=json["id"],
        path=path_of([*above, json["displayName"]]),
        name=json["displayName"],
        special_use=special_uses.get(json["id"]),
        parent_path=path_of(above),
        is_hidden=bool(json.get("isHidden")),
        messages=json.get("totalItemCount") or 0,
        unseen=json.get("unreadItemCount") or 0,
    )


def _no_such_folder() -> NotFound:
    return NotFound("No such folder in this mailbox. GET /v1/account/{account}/mailboxes lists the paths")
