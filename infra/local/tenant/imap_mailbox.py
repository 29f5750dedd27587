"""IMAP's commands on an open mailbox (RFC 3501 sections 6.3 and 6.4): folders, FETCH, SEARCH and STORE."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter

from infra.local.tenant.imap_fetch import Fetched, UnknownItemError, read_items
from infra.local.tenant.imap_search import NUMBERS, Entry, UnknownKeyError, is_in, search, unquoted
from infra.local.tenant.mail.entities import Folder, Message
from infra.local.tenant.mail.store import ROOT, StoredMailbox

type Line = str | bytes
COMMAND_ERROR = "BAD Command Error. 12"
# RFC 6154 section 2.
SPECIAL_USES = {"drafts": "\\Drafts", "sentitems": "\\Sent", "deleteditems": "\\Trash", "junkemail": "\\Junk"}
NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]+|&")
FLAGS = ("\\Seen", "\\Flagged")  # those that a client can store: Graph has no others
STORE = re.compile(r"(?P<sign>[+-]?)FLAGS(?P<silent>\.SILENT)? \(?(?P<flags>[^()]*)\)?", re.IGNORECASE)
WILDCARDS = {"*": ".*", "%": "[^/]*"}
ARGUMENTS = re.compile(r'("(?:[^"\\]|\\.)*"|\S+) ("(?:[^"\\]|\\.)*"|\S+)')


@dataclass(slots=True)
class Selection:
    """A selected folder. Message sequence numbers are the positions in `entries`, from 1."""

    folder: Folder
    is_read_only: bool
    entries: list[Entry]


@dataclass(slots=True)
class MailboxCommands:
    """The commands of one login. `note_opened` is called with the folder's name and the command that selects it."""

    mailbox: StoredMailbox
    note_opened: Callable[[str, str], None]
    selection: Selection | None = field(default=None, init=False)

    def execute(self, command: str, argument: str) -> list[Line]:
        """The response lines of a command; the last one is its result."""
        match command:
            case "NOOP":
                return [*self._news(), "OK NOOP completed."]
            case "LIST":
                return self._list(argument)
            case "SELECT" | "EXAMINE":
                return self._select(command, unquoted(argument))
            case "CLOSE" | "UNSELECT" if self.selection:
                self.selection = None
                return [f"OK {command} completed."]
            case "UID" if self.selection:
                command, _, argument = argument.partition(" ")
                return self._message_command(self.selection, command.upper(), argument, by_uid=True)
        return (
            self._message_command(self.selection, command, argument, by_uid=False)
            if self.selection
            else [COMMAND_ERROR]
        )

    def _message_command(self, selection: Selection, command: str, argument: str, *, by_uid: bool) -> list[Line]:
        try:
            if command == "SEARCH":
                numbers = search(argument, selection.entries)
                found = [selection.entries[number - 1][0] if by_uid else number for number in numbers]
                return [" ".join(["* SEARCH", *map(str, found)]), "OK SEARCH completed."]
            numbers_text, _, rest = argument.partition(" ")
            if command not in {"FETCH", "STORE"} or not NUMBERS.fullmatch(numbers_text):
                return [COMMAND_ERROR]
            chosen = _chosen(selection.entries, numbers_text, by_uid=by_uid)
            change = self._fetch if command == "FETCH" else self._store
            return [*change(chosen, rest, by_uid=by_uid), f"OK {command} completed."]
        except (UnknownItemError, UnknownKeyError):
            return [COMMAND_ERROR]

    def _news(self) -> list[Line]:
        """What has changed in the selected folder since the client was last told (RFC 3501 section 7.4.1)."""
        if self.selection is None:
            return []
        old, new = self.selection.entries, _entries(self.mailbox, self.selection.folder)
        self.selection.entries = new
        kept = {uid for uid, _ in new}
        # The highest number first, because each EXPUNGE renumbers the messages after it.
        gone = [number for number, (uid, _) in reversed(list(enumerate(old, 1))) if uid not in kept]
        return [*(f"* {number} EXPUNGE" for number in gone), f"* {len(new)} EXISTS"]

    def _list(self, argument: str) -> list[Line]:
        names = ARGUMENTS.fullmatch(argument.strip())
        if names is None:
            return [COMMAND_ERROR]
        pattern = unquoted(names[1]) + unquoted(names[2])
        if not unquoted(names[2]):
            return ['* LIST (\\Noselect) "/" ""', "OK LIST completed."]
        matcher = re.compile("".join(WILDCARDS.get(part, re.escape(part)) for part in pattern), re.IGNORECASE)
        listed = [
            f'* LIST ({self._attributes(folder)}) "/" {_quoted(name)}'
            for name, folder in sorted(self._folders().items())
            if matcher.fullmatch(name)
        ]
        return [*listed, "OK LIST completed."]

    def _attributes(self, folder: Folder) -> str:
        children = "\\HasChildren" if self.mailbox.children(folder) else "\\HasNoChildren"
        return " ".join(filter(None, (children, SPECIAL_USES.get(folder.well_known_name))))

    def _folders(self) -> dict[str, Folder]:
        """Every folder by its name in IMAP, which has the names of the folders around it."""
        named: dict[str, Folder] = {}
        waiting = [("", self.mailbox.folder(ROOT))]
        for path, parent in waiting:
            for child in self.mailbox.children(parent):
                name = "INBOX" if child.well_known_name == "inbox" else path + modified_utf7(child.display_name)
                named[name] = child
                waiting.append((f"{name}/", child))
        return named

    def _select(self, command: str, name: str) -> list[Line]:
        self.note_opened(name, command)
        self.selection = None
        folders = {known.upper(): folder for known, folder in self._folders().items()}
        folder = folders.get(name.upper())
        if folder is None:
            return [f"NO {name} doesn't exist."]
        entries, is_read_only = _entries(self.mailbox, folder), command == "EXAMINE"
        self.selection = Selection(folder, is_read_only, entries)
        unseen = next((n for n, (_, message) in enumerate(entries, 1) if not message.properties["isRead"]), None)
        return [
            f"* {len(entries)} EXISTS",
            "* 0 RECENT",
            "* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $MDNSent)",
            f"* OK [PERMANENTFLAGS ({'' if is_read_only else ' '.join(FLAGS)})] Permanent flags",
            *([f"* OK [UNSEEN {unseen}] Is the first unseen message"] if unseen else []),
            f"* OK [UIDVALIDITY {self.mailbox.uid_validity}] UIDVALIDITY value",
            f"* OK [UIDNEXT {self.mailbox.last_change + 1}] The next unique identifier value",
            f"OK [{'READ-ONLY' if is_read_only else 'READ-WRITE'}] {command} completed.",
        ]

    def _fetch(self, chosen: list[tuple[int, Entry]], text: str, *, by_uid: bool) -> list[Line]:
        items = read_items(text)
        if not items:
            raise UnknownItemError(text)
        if by_uid and "UID" not in items:
            items.append("UID")  # RFC 3501 section 6.4.8
        return [self._fetched(number, entry, items) for number, entry in chosen if self._is_there(entry)]

    def _fetched(self, number: int, entry: Entry, items: list[str]) -> Line:
        uid, message = entry
        fetched = Fetched(message, uid, lambda: _flags(message))
        data = [fetched.data(item) for item in items if item != "FLAGS"]
        sets_seen = fetched.has_read and not message.properties["isRead"] and not self._is_read_only
        if sets_seen:
            self.mailbox.update(message, isRead=True)
        if sets_seen or "FLAGS" in items:
            data.append(fetched.data("FLAGS"))
        return f"* {number} FETCH (".encode() + b" ".join(data) + b")"

    def _store(self, chosen: list[tuple[int, Entry]], text: str, *, by_uid: bool) -> list[Line]:
        """Set or remove the flags Seen and Flagged (RFC 3501 section 6.4.6). Other flags cannot be stored."""
        change = STORE.fullmatch(text.strip())
        if change is None:
            raise UnknownItemError(text)
        if self._is_read_only:
            return []
        named = {flag for flag in FLAGS if flag.lower() in change["flags"].lower().split()}
        lines: list[Line] = []
        for number, (uid, message) in chosen:
            if not self._is_there((uid, message)):
                continue
            current = set(_flags(message).split()) & set(FLAGS)
            wanted = {"+": current | named, "-": current - named, "": named}[change["sign"]]
            status = "flagged" if "\\Flagged" in wanted else "notFlagged"
            self.mailbox.update(message, isRead="\\Seen" in wanted, flag={"flagStatus": status})
            if not change["silent"]:
                suffix = f" UID {uid}" if by_uid else ""
                lines.append(f"* {number} FETCH (FLAGS ({_flags(message)}){suffix})")
        return lines

    @property
    def _is_read_only(self) -> bool:
        return self.selection is None or self.selection.is_read_only

    def _is_there(self, entry: Entry) -> bool:
        """Whether the message is still in the folder. A message that is moved gets another UID."""
        uid, message = entry
        return message.uid == uid and message.immutable_id in self.mailbox.messages


def _entries(mailbox: StoredMailbox, folder: Folder) -> list[Entry]:
    return sorted(((message.uid, message) for message in mailbox.messages_in(folder)), key=itemgetter(0))


def _chosen(entries: list[Entry], numbers: str, *, by_uid: bool) -> list[tuple[int, Entry]]:
    """The entries of a set of numbers, with their sequence numbers."""
    largest = (entries[-1][0] if by_uid else len(entries)) if entries else 0
    return [
        (number, entry)
        for number, entry in enumerate(entries, 1)
        if is_in(numbers, entry[0] if by_uid else number, largest)
    ]


def _flags(message: Message) -> str:
    properties = message.properties
    has = {
        "\\Seen": properties["isRead"],
        "\\Flagged": properties["flag"]["flagStatus"] == "flagged",
        "\\Draft": properties["isDraft"],
    }
    return " ".join(flag for flag, is_set in has.items() if is_set)


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if re.search(r"[^\w.-]", escaped) else escaped


def modified_utf7(name: str) -> str:
    """A folder's name as IMAP writes it (RFC 3501 section 5.1.3)."""

    def encoded(found: re.Match[str]) -> str:
        if found[0] == "&":
            return "&-"
        return f"&{base64.b64encode(found[0].encode('utf-16-be')).decode().rstrip('=').replace('/', ',')}-"

    return NOT_PRINTABLE.sub(encoded, name)
