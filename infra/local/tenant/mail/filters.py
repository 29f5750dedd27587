"""$filter and $orderby of messages and folders.

https://learn.microsoft.com/graph/filter-query-parameter
https://learn.microsoft.com/graph/api/user-list-messages#using-filter-and-orderby-in-the-same-query
"""

import operator
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from infra.local.tenant.failures import Refusal

Getter = Callable[[str], Any]  # the value at a path of one entity
Predicate = Callable[[Getter], bool]

TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<time>\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d)?)?)"
    r"|(?P<number>-?\d+)|(?P<name>[A-Za-z][\w/]*)|(?P<mark>[(),:]))"
)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")  # as the tenant writes times
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
TEXT_FUNCTIONS: dict[str, Callable[[str, str], bool]] = {"startswith": str.startswith, "contains": operator.contains}
LITERALS = {"true": True, "false": False, "null": None}
# What can be filtered by. Recipients cannot: microsoftgraph/microsoft-graph-explorer-v4 issue 3957. Ids cannot:
# O365/python-o365 issue 528.
MESSAGE_PROPERTIES = frozenset(
    {
        "bodyPreview",
        "categories",
        "changeKey",
        "conversationId",
        "createdDateTime",
        "flag/flagStatus",
        "from/emailAddress/address",
        "from/emailAddress/name",
        "hasAttachments",
        "importance",
        "inferenceClassification",
        "internetMessageId",
        "isDraft",
        "isRead",
        "isReadReceiptRequested",
        "lastModifiedDateTime",
        "parentFolderId",
        "receivedDateTime",
        "sender/emailAddress/address",
        "sender/emailAddress/name",
        "sentDateTime",
        "subject",
    }
)
FOLDER_PROPERTIES = frozenset(
    {"id", "displayName", "parentFolderId", "childFolderCount", "unreadItemCount", "totalItemCount"}
)


class Filter:
    """A parsed $filter. `properties` are the paths in it, in their order.

    Raises the Refusals InvalidFilterClause (the syntax) and ErrorInvalidUrlQueryFilter (not for filters).
    """

    def __init__(self, text: str, allowed: frozenset[str]) -> None:
        self.properties: list[str] = []
        self._allowed = allowed
        self._tokens = _tokens(text)
        self.matches: Predicate = self._any_of()
        if self._tokens:
            raise Refusal("InvalidFilterClause")

    def _any_of(self) -> Predicate:
        parts = [self._all_of()]
        while self._take_if("or"):
            parts.append(self._all_of())
        return parts[0] if len(parts) == 1 else lambda get: any(part(get) for part in parts)

    def _all_of(self) -> Predicate:
        parts = [self._one()]
        while self._take_if("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda get: all(part(get) for part in parts)

    def _one(self) -> Predicate:
        if self._take_if("not"):
            negated = self._one()
            return lambda get: not negated(get)
        if self._take_if("("):
            inner = self._any_of()
            self._expect(")")
            return inner
        kind, name = self._take()
        if kind != "name":
            raise Refusal("InvalidFilterClause")
        if not self._take_if("("):
            return self._comparison(self._property(name))
        if name.endswith("/any"):
            return self._lambda(self._property(name.removesuffix("/any")))
        return self._text_function(name)

    def _comparison(self, path: str) -> Predicate:
        compare = COMPARISONS.get(self._take()[1])
        if compare is None:
            raise Refusal("ErrorInvalidUrlQueryFilter")
        wanted = self._literal()
        return lambda get: _compared(compare, comparable(get(path)), wanted)

    def _text_function(self, name: str) -> Predicate:
        test = TEXT_FUNCTIONS.get(name.lower())
        if test is None:  # endswith, for one: microsoftgraph/msgraph-sdk-dotnet issue 2572
            raise Refusal("ErrorInvalidUrlQueryFilter")
        path = self._property(self._take()[1])
        self._expect(",")
        wanted = self._literal()
        self._expect(")")
        is_wanted = self._take_if("eq") is False or self._literal() is True
        return lambda get: test(str(comparable(get(path)) or ""), str(wanted)) is is_wanted

    def _lambda(self, path: str) -> Predicate:
        """`categories/any(c:c eq 'Red')`.

        https://learn.microsoft.com/graph/filter-query-parameter
        """
        variable = self._take()[1]
        self._expect(":")
        if self._take()[1] != variable:
            raise Refusal("ErrorInvalidUrlQueryFilter")
        compare = COMPARISONS.get(self._take()[1])
        wanted = self._literal()
        self._expect(")")
        if compare is None or path != "categories":
            raise Refusal("ErrorInvalidUrlQueryFilter")
        return lambda get: any(compare(comparable(item), wanted) for item in get(path))

    def _property(self, path: str) -> str:
        if path not in self._allowed:
            raise Refusal("ErrorInvalidUrlQueryFilter")
        self.properties.append(path)
        return path

    def _literal(self) -> Any:  # noqa: ANN401 - the type is that of the literal
        kind, text = self._take()
        match kind:
            case "text":
                return comparable(text[1:-1].replace("''", "'"))
            case "time":
                return read_time(text)
            case "number":
                return int(text)
        if text.lower() not in LITERALS:
            raise Refusal("ErrorInvalidUrlQueryFilter")
        return LITERALS[text.lower()]

    def _take(self) -> tuple[str, str]:
        if not self._tokens:
            raise Refusal("InvalidFilterClause")
        return self._tokens.pop(0)

    def _take_if(self, text: str) -> bool:
        is_next = bool(self._tokens) and self._tokens[0][0] != "text" and self._tokens[0][1].lower() == text
        if is_next:
            self._tokens.pop(0)
        return is_next

    def _expect(self, text: str) -> None:
        if not self._take_if(text):
            raise Refusal("InvalidFilterClause")


def read_order(text: str | None, filtered: list[str] | None, allowed: frozenset[str]) -> list[tuple[str, bool]]:
    """The paths of $orderby, each with whether it is descending. `filtered` are the paths of $filter, if there is one.

    "Properties that appear in $orderby must also appear in $filter", in the same order and before any that do not.
    Raises the Refusal InefficientFilter otherwise.
    """
    order = [_ordered(part, allowed) for part in (text or "").split(",") if part.strip()]
    paths = [path for path, _ in order]
    if filtered is not None and list(dict.fromkeys(filtered))[: len(paths)] != paths:
        raise Refusal("InefficientFilter")
    return order


def sort_key(value: Any) -> tuple[bool, Any]:  # noqa: ANN401 - a JSON value
    """A key that sorts nulls first."""
    return (value is not None, comparable(value))


def comparable(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    """A value as it is compared: Exchange ignores case, and times are moments."""
    if not isinstance(value, str):
        return value
    return read_time(value) if TIME.fullmatch(value) else value.casefold()


def read_time(text: str) -> datetime:
    """A date, or a date and a time, in UTC if it names no zone. Raises the Refusal InvalidFilterClause."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refusal("InvalidFilterClause") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _compared(compare: Callable[[Any, Any], bool], value: Any, wanted: Any) -> bool:  # noqa: ANN401 - JSON values
    if compare in {operator.eq, operator.ne}:
        return compare(value, wanted)
    return type(value) is type(wanted) and compare(value, wanted)


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position, text = 0, text.rstrip()
    while position < len(text):
        found = TOKEN.match(text, position)
        if found is None or found.lastgroup is None:
            raise Refusal("InvalidFilterClause")
        tokens.append((found.lastgroup, found[found.lastgroup]))
        position = found.end()
    return tokens


def _ordered(part: str, allowed: frozenset[str]) -> tuple[str, bool]:
    path, _, direction = part.strip().partition(" ")
    if path not in allowed or direction.strip().lower() not in {"", "asc", "desc"}:
        raise Refusal(
            "BadRequest", reason=f"Could not find a property named '{path}' on type 'microsoft.graph.message'."
        )
    return path, direction.strip().lower() == "desc"
