"""IMAP's SEARCH, as far as its keys are joined by "and" (RFC 3501 section 6.4.4)."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime

from infra.local.tenant.mail.entities import Message, Properties

TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s()"]+)')
ESCAPED = re.compile(r"\\(.)")
NUMBERS = re.compile(r"(?:\d+|\*)(?::(?:\d+|\*))?(?:,(?:\d+|\*)(?::(?:\d+|\*))?)*")

type Entry = tuple[int, Message]  # a UID and its message
type Matches = Callable[[int, Entry], bool]  # of a sequence number and its entry

FLAG_KEYS: dict[str, Callable[[Properties], bool]] = {
    "ALL": lambda _: True,
    "SEEN": lambda properties: properties["isRead"],
    "UNSEEN": lambda properties: not properties["isRead"],
    "FLAGGED": lambda properties: properties["flag"]["flagStatus"] == "flagged",
    "UNFLAGGED": lambda properties: properties["flag"]["flagStatus"] != "flagged",
}
RECIPIENT_KEYS = {"TO": "toRecipients", "CC": "ccRecipients", "BCC": "bccRecipients"}


class UnknownKeyError(ValueError):
    """The client asked for a search key that this server does not have."""


def search(text: str, entries: Sequence[Entry]) -> list[int]:
    """The sequence numbers of the entries that match every key. Raises UnknownKeyError."""
    tokens = iter([_unquoted(*found) for found in TOKEN.findall(text)])
    keys = list(_keys(tokens, entries))
    return [number for number, entry in enumerate(entries, 1) if all(matches(number, entry) for matches in keys)]


def is_in(numbers: str, number: int, largest: int) -> bool:
    """Whether a set such as 1:3,7:* contains the number; * is the largest one."""
    for part in numbers.split(","):
        ends = [largest if end == "*" else int(end) for end in part.split(":")]
        if min(ends) <= number <= max(ends):
            return True
    return False


def unquoted(text: str) -> str:
    """The content of a string or an atom."""
    found = TOKEN.search(text)
    return _unquoted(*found.groups(default="")) if found else ""


def _unquoted(quoted: str, atom: str) -> str:
    return atom or ESCAPED.sub(r"\1", quoted)


def _keys(tokens: Iterator[str], entries: Sequence[Entry]) -> Iterator[Matches]:
    largest_uid = max((uid for uid, _ in entries), default=0)
    for token in tokens:
        match token.upper():
            case "CHARSET":
                next(tokens, "")
            case "UID":
                yield _in_uids(next(tokens, ""), largest_uid)
            case flag if flag in FLAG_KEYS:
                yield _has_flag(flag)
            case "SINCE" | "BEFORE" | "ON" as key:
                yield _received(key, next(tokens, ""))
            case "FROM" | "SUBJECT" | "TO" | "CC" | "BCC" | "TEXT" as key:
                yield _contains(key, next(tokens, "").casefold())
            case numbers if NUMBERS.fullmatch(numbers):
                yield _in_numbers(numbers, len(entries))
            case _:
                raise UnknownKeyError(token)


def _in_uids(numbers: str, largest: int) -> Matches:
    if not NUMBERS.fullmatch(numbers):
        raise UnknownKeyError(numbers)
    return lambda _, entry: is_in(numbers, entry[0], largest)


def _in_numbers(numbers: str, largest: int) -> Matches:
    return lambda number, _: is_in(numbers, number, largest)


def _has_flag(flag: str) -> Matches:
    return lambda _, entry: FLAG_KEYS[flag](entry[1].properties)


def _received(key: str, text: str) -> Matches:
    """By the day of the internal date, whatever the time."""
    try:
        day = datetime.strptime(text, "%d-%b-%Y").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise UnknownKeyError(text) from error
    compare = {"SINCE": date.__ge__, "BEFORE": date.__lt__, "ON": date.__eq__}[key]
    return lambda _, entry: compare(datetime.fromisoformat(entry[1].properties["receivedDateTime"]).date(), day)


def _contains(key: str, text: str) -> Matches:
    return lambda _, entry: text in _searched(key, entry[1]).casefold()


def _searched(key: str, message: Message) -> str:
    properties = message.properties
    match key:
        case "SUBJECT":
            return str(properties["subject"])
        case "TEXT":
            return f"{properties['subject']}\n{message.body_text}"
        case "FROM":
            people = [properties["from"]] if properties["from"] else []
        case _:
            people = properties[RECIPIENT_KEYS[key]]
    return "\n".join(
        f"{person['emailAddress'].get('name')} <{person['emailAddress'].get('address')}>" for person in people
    )
