"""OData query options of mail calls.

https://learn.microsoft.com/graph/query-parameters
"""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from infra.local.tenant.failures import Refusal

# "We recommend that you always include the dollar sign", which is optional.
# https://learn.microsoft.com/graph/query-parameters
KNOWN_OPTIONS = {
    "select",
    "filter",
    "orderby",
    "top",
    "skip",
    "count",
    "search",
    "expand",
    "skiptoken",
    "deltatoken",
    "changetype",
    "includehiddenfolders",
}
DEFAULT_TOP, MAX_TOP = 10, 1000  # https://learn.microsoft.com/graph/api/user-list-messages#optional-query-parameters
EXPANSION = re.compile(r"([\w./]+)\s*(?:\((.*)\))?", re.DOTALL)
CAST = re.compile(r"^microsoft\.graph\.\w+/")
EXTENDED_PROPERTY_ID = re.compile(r"id\s+eq\s+'((?:[^']|'')*)'", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of one request. `pairs` are all of them as they came, for links to further pages."""

    pairs: tuple[tuple[str, str], ...]
    select: tuple[str, ...] | None
    filter: str | None
    orderby: str | None
    top: int | None
    skip: int
    count: bool
    search: str | None
    expand: dict[str, str]
    skip_token: str | None
    delta_token: str | None
    change_type: str | None
    with_hidden_folders: bool

    def link(self, address: str, **options: str) -> str:
        """The address with these options, then the other ones of the request."""
        kept = [(name, value) for name, value in self.pairs if _plain(name) not in options]
        added = [(f"${name}", value) for name, value in options.items()]
        return f"{address}?{'&'.join(f'{name}={_quoted(value)}' for name, value in (*kept, *added))}"


def read_options(pairs: list[tuple[str, str]]) -> Options:
    """Read the options of a request. Raises the Refusal BadRequest."""
    values: dict[str, str] = {}
    for name, value in pairs:
        plain_name = _plain(name)
        if plain_name in values or (name.startswith("$") and plain_name not in KNOWN_OPTIONS):
            raise Refusal("BadRequest", reason=f"Query option '{name}' was specified more than once or is not known.")
        values[plain_name] = value
    return Options(
        pairs=tuple(pairs),
        select=_names(values["select"]) if "select" in values else None,
        filter=values.get("filter"),
        orderby=values.get("orderby"),
        top=_number("top", values["top"], 1, MAX_TOP) if "top" in values else None,
        skip=_number("skip", values.get("skip", "0"), 0),
        count=values.get("count", "false").lower() == "true",
        search=values.get("search"),
        expand=_expansions(values.get("expand", "")),
        skip_token=values.get("skiptoken"),
        delta_token=values.get("deltatoken"),
        change_type=values.get("changetype"),
        with_hidden_folders=values.get("includehiddenfolders", "false").lower() == "true",
    )


def select(
    entity: dict[str, Any], names: tuple[str, ...] | None, hidden: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """The selected properties, the id and the annotations; without a selection, all except the hidden ones.

    https://learn.microsoft.com/graph/query-parameters#select-parameter
    """
    if names is None:
        return {name: value for name, value in entity.items() if name not in hidden}
    if unknown := next((name for name in names if name != "*" and name not in entity), None):
        reason = f"Parsing OData Select and Expand failed: Could not find a property named '{unknown}'."
        raise Refusal("BadRequest", reason=reason)
    return {name: value for name, value in entity.items() if name in names or name == "id" or name.startswith("@")}


def nested_select(options: str) -> tuple[str, ...] | None:
    """The $select among the options of an expansion."""
    for option in options.split(";"):
        name, _, value = option.partition("=")
        if _plain(name.strip()) == "select":
            return _names(value)
    return None


def extended_property_ids(options: str) -> list[str]:
    """The ids in the $filter of an expansion of extended properties.

    https://learn.microsoft.com/graph/api/singlevaluelegacyextendedproperty-get
    """
    return [found.replace("''", "'") for found in EXTENDED_PROPERTY_ID.findall(options)]


def _plain(name: str) -> str:
    return name.removeprefix("$").lower()


def _quoted(value: str) -> str:
    return quote(value, safe="$'()*,;:@/")


def _number(name: str, text: str, least: int, most: int | None = None) -> int:
    if not text.isdecimal() or not least <= int(text) <= (most or int(text)):
        raise Refusal(
            "BadRequest",
            reason=f"The query specified in the URI is not valid. Invalid value '{text}' for ${name} query option.",
        )
    return int(text)


def _names(text: str) -> tuple[str, ...]:
    # A property of a derived type has the type before it. https://learn.microsoft.com/graph/api/attachment-get
    return tuple(CAST.sub("", name.strip()) for name in text.split(",") if name.strip())


def _expansions(text: str) -> dict[str, str]:
    """What to expand, each with the options in its parentheses."""
    expansions: dict[str, str] = {}
    for part in _split_outside_parentheses(text):
        found = EXPANSION.fullmatch(part.strip())
        if found is None:
            raise Refusal("BadRequest", reason="Parsing OData Select and Expand failed: Syntax error.")
        expansions[CAST.sub("", found[1])] = found[2] or ""
    return expansions


def _split_outside_parentheses(text: str) -> list[str]:
    parts, depth = [""], 0
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part for part in parts if part.strip()]
