"""Folders and their paths, as EmailEngine writes them."""

from dataclasses import dataclass
from enum import StrEnum

DELIMITER = "/"
INBOX = "INBOX"


class SpecialUse(StrEnum):
    r"""What a folder is for (RFC 6154 section 2; `\Inbox` is EmailEngine's). `\All` is the whole mailbox."""

    ALL = "\\All"
    INBOX = "\\Inbox"
    DRAFTS = "\\Drafts"
    SENT = "\\Sent"
    ARCHIVE = "\\Archive"
    JUNK = "\\Junk"
    TRASH = "\\Trash"


# Graph: "mailFolder resource type", well-known folder names. A mailbox need not have an archive.
WELL_KNOWN_NAMES = {
    SpecialUse.INBOX: "inbox",
    SpecialUse.DRAFTS: "drafts",
    SpecialUse.SENT: "sentitems",
    SpecialUse.ARCHIVE: "archive",
    SpecialUse.JUNK: "junkemail",
    SpecialUse.TRASH: "deleteditems",
}


@dataclass(frozen=True, slots=True)
class Folder:
    r"""A folder. `path` are the display names from the top, escaped and joined.

    `\All` has no `id`. `special_use` is None if it has none, or if nobody asked.
    """

    id: str
    path: str
    name: str
    special_use: SpecialUse | None = None
    parent_path: str = ""
    is_hidden: bool = False
    messages: int = 0
    unseen: int = 0


ALL = Folder("", SpecialUse.ALL, "All Mail", SpecialUse.ALL)


def path_of(names: list[str]) -> str:
    """The path of a folder with these display names, from the top."""
    return DELIMITER.join(name.replace("%", "%25").replace(DELIMITER, "%2F") for name in names)


def names_of(path: str) -> list[str]:
    """The display names in a path. Reads both cases of `%2F`, and any other `%` as it is."""
    parts = path.split(DELIMITER)
    return [part.replace("%2F", DELIMITER).replace("%2f", DELIMITER).replace("%25", "%") for part in parts]


def special_use_of(path: str) -> SpecialUse | None:
    r"""The special use that a path names, such as `\Sent` or `INBOX`, in any case."""
    folded = path.casefold()
    if folded == INBOX.casefold():
        return SpecialUse.INBOX
    return next((each for each in SpecialUse if each.casefold() == folded), None)


def listing_order(folder: Folder) -> tuple[int, str]:
    r"""Sorts as EmailEngine does: `\All`, the inbox, those with a special use, and the others by path."""
    ranks = {SpecialUse.ALL: 0, SpecialUse.INBOX: 1, None: 3}
    return ranks.get(folder.special_use, 2), folder.path.casefold()
