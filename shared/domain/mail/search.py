"""EmailEngine's search, translated to Microsoft Graph's $filter or $search, which cannot be combined.

$filter compares properties (Graph: "message resource type"; "List messages", using filter and orderby in the same
query). $search asks an index, in the Keyword Query Language, for the properties of a table (Graph: "Use the $search
query parameter", message collections). Recipients and sizes can only be searched, flags only filtered. Bodies cannot be
filtered dependably (microsoftgraph/microsoft-graph-explorer-v4 issue 3765), and ids not at all (O365/python-o365 issue
528): messages with known ids are read one by one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from shared.domain.errors import InvalidInput

type Search = Mapping[str, Any]
"""What to look for, by EmailEngine's names: texts, booleans, numbers of bytes, and datetimes; `emailIds` has a list.

Names are those of FILTERS and KEYWORDS, and `emailIds`. What was not asked for is not there.
"""

# Before every message. A property of $orderby has to be in $filter too, and before all others.
EARLIEST = "receivedDateTime ge 1900-01-01T00:00:00Z"
# KQL has no escape for what ends a phrase or stands for other letters.
NOT_IN_PHRASES = dict.fromkeys(map(ord, '"\\*“”„‟«»〝〞〟＂'), " ")  # noqa: RUF001 - quotation marks


@dataclass(frozen=True, slots=True)
class GraphSearch:
    """One of three: a $filter that begins with receivedDateTime, a $search, or the ids of the messages."""

    filter: str = ""
    search: str = ""
    ids: tuple[str, ...] = ()


def translated(search: Search, *, prefer_search: bool = False) -> GraphSearch:
    """The translation of a search; to $filter where both are possible, or to $search if that is preferred.

    Raises InvalidInput, which names the fields, for a combination that Graph cannot answer and for a text that has
    nothing to look for.
    """
    if "emailIds" in search:
        return _by_id(search)
    only_filtered, only_searched = search.keys() - KEYWORDS.keys(), search.keys() - FILTERS.keys()
    if only_filtered and only_searched:
        raise _cannot_be_combined(only_searched, only_filtered)
    if only_searched or (prefer_search and search and not only_filtered):
        return GraphSearch(search=f'"{" AND ".join(_keywords(search))}"')
    conditions = [FILTERS[name](value) for name, value in search.items()]
    by_time_first = sorted(conditions, key=lambda condition: not condition.startswith("receivedDateTime "))
    return GraphSearch(filter=" and ".join([EARLIEST, *by_time_first]))


def with_message_id(text: str) -> str:
    """The $filter for messages with this Internet-Message-ID."""
    return f"internetMessageId eq {_literal(text)}"


def _by_id(search: Search) -> GraphSearch:
    if others := search.keys() - {"emailIds"}:
        raise _cannot_be_combined({"emailIds"}, others)
    if not search["emailIds"]:  # without ids, a GraphSearch finds every message
        raise InvalidInput({"search.emailIds": '"search.emailIds" must not be empty'})
    return GraphSearch(ids=tuple(search["emailIds"]))


def _cannot_be_combined(names: set[str], others: set[str]) -> InvalidInput:
    rest = ", ".join(sorted(others))
    what = f"cannot be combined with {rest}: Microsoft Graph answers one or the other. Search twice"
    return InvalidInput({f"search.{name}": f'"search.{name}" {what}' for name in sorted(names)})


def _keywords(search: Search) -> list[str]:
    keywords, faults = [], dict[str, str]()
    for name, value in search.items():
        if isinstance(value, str) and not _words(value):
            faults[f"search.{name}"] = f'"search.{name}" must have something else than quotation marks and asterisks'
        keywords.append(KEYWORDS[name](value))
    if faults:
        raise InvalidInput(faults)
    return keywords


def _literal(text: str) -> str:
    """OData 4.01 part 2, section 5.1.1.1: a quotation mark in a text is doubled."""
    return "'" + text.replace("'", "''") + "'"


def _phrase(text: str) -> str:
    r"""A phrase in KQL. Its quotation marks are escaped, because all of $search stands in quotation marks."""
    return f'\\"{_words(text)}\\"'


def _words(text: str) -> str:
    return " ".join(text.translate(NOT_IN_PHRASES).split())


def _keyword(name: str, text: str) -> str:
    return f"{name}:{_phrase(text)}"


def _moment(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _boolean(value: bool) -> str:  # noqa: FBT001 - the value itself
    return "true" if value else "false"


def _flagged(value: bool) -> str:  # noqa: FBT001 - the value itself
    if value:
        return "flag/flagStatus eq 'flagged'"
    return "(flag/flagStatus eq 'notFlagged' or flag/flagStatus eq 'complete')"


def _from(text: str) -> str:
    return f"(from/emailAddress/address eq {_literal(text)} or contains(from/emailAddress/name,{_literal(text)}))"


FILTERS: Mapping[str, Callable[[Any], str]] = {
    "from": _from,
    "subject": lambda text: f"contains(subject,{_literal(text)})",
    "unseen": lambda value: f"isRead eq {_boolean(not value)}",
    "draft": lambda value: f"isDraft eq {_boolean(value)}",
    "flagged": _flagged,
    "hasAttachments": lambda value: f"hasAttachments eq {_boolean(value)}",
    "since": lambda when: f"receivedDateTime ge {_moment(when)}",
    "before": lambda when: f"receivedDateTime lt {_moment(when)}",
    "sentSince": lambda when: f"sentDateTime ge {_moment(when)}",
    "sentBefore": lambda when: f"sentDateTime lt {_moment(when)}",
    "threadId": lambda text: f"conversationId eq {_literal(text)}",
    "header": with_message_id,
}
KEYWORDS: Mapping[str, Callable[[Any], str]] = {
    **{name: partial(_keyword, name) for name in ("from", "to", "cc", "bcc", "subject", "body")},
    "hasAttachments": lambda value: f"hasAttachments:{_boolean(value)}",
    "since": lambda when: f"received>={_moment(when)}",
    "before": lambda when: f"received<{_moment(when)}",
    "sentSince": lambda when: f"sent>={_moment(when)}",
    "sentBefore": lambda when: f"sent<{_moment(when)}",
    "larger": lambda size: f"size>{size:d}",
    "smaller": lambda size: f"size<{size:d}",
}
