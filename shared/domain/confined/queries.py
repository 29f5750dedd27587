"""The query options that a call may have (Graph: "Use query parameters to customize responses")."""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from shared.domain.confined.operations import MailOperation
from shared.domain.confined.refused import TABLE, BadMailRequest, NotConfined

# Graph's spelling of each option. Graph takes the OData ones without `$` too.
SPELLINGS = {
    **{
        name: f"${name}"
        for name in (
            "select", "filter", "search", "orderby", "top", "skip", "count", "expand", "skiptoken", "deltatoken",
        )
    },
    "changetype": "changeType",
    "includehiddenfolders": "includeHiddenFolders",
}  # fmt: skip
# Options whose values lead on within one list. They are sealed, so that they are valid for one account only.
SEALED_OPTIONS = frozenset({"skiptoken", "deltatoken"})
NESTED_OPTIONS = frozenset({"$select", "$filter", "$top", "$orderby", "$count"})
STRING_LITERAL = re.compile(r"'(?:[^']|'')*'")
CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]")
# Ways out of the mailbox's messages: the root of the service (OData 4.01 URL conventions section 5.1.1.13), and the
# calendar event of a meeting message (Graph: eventMessage, relationships).
WAYS_OUT = re.compile(r"\$root|\$crossjoin|\$all\b|/event\b|\bevent/", re.IGNORECASE)
EXPANDED = re.compile(r"([A-Za-z./]+)(?:\((.*)\))?", re.DOTALL)
SAFE_IN_QUERY = "$()',;:/@=*"


def checked_options(operation: MailOperation, query: Mapping[str, str]) -> dict[str, str]:
    """The options of a query by their names in SPELLINGS. Raises NotConfined and BadMailRequest."""
    options: dict[str, str] = {}
    for spelled, value in query.items():
        name = spelled.removeprefix("$").lower()
        if name not in operation.options:
            raise NotConfined(f"The query has an option that this path does not take; {TABLE}")
        if name in options:
            raise BadMailRequest(f"The query has {SPELLINGS[name]} twice. Send it once")
        _check_value(name, value)
        options[name] = value
    if "expand" in options:
        _check_expand(operation, options["expand"])
    return options


def encoded_query(options: Mapping[str, str]) -> str:
    """The query for Graph, percent-encoded, in the order of the options."""
    return "&".join(f"{SPELLINGS[name]}={quote(value, safe=SAFE_IN_QUERY)}" for name, value in options.items())


def _check_value(name: str, value: str) -> None:
    outside = "" if name == "search" else STRING_LITERAL.sub("''", value)
    if CONTROL_CHARACTERS.search(value) or WAYS_OUT.search(outside):
        raise NotConfined(f"{SPELLINGS[name]} reaches beyond messages and folders; {TABLE}")
    if '"' in outside:  # in JSON's strings, a single quote begins no string (OData 4.01 ABNF, arrayOrObject)
        raise BadMailRequest(f"{SPELLINGS[name]} has a double quote. Write texts in single quotes")


def _check_expand(operation: MailOperation, value: str) -> None:
    for part in split_outside(value, ","):
        expanded = EXPANDED.fullmatch(part.strip())
        if expanded is None or expanded[1].lower() not in operation.expands:
            raise NotConfined(f"$expand can name {_listed(operation.expands)} here")
        nested = split_outside(expanded[2], ";") if expanded[2] else []
        if any(option.partition("=")[0].strip().lower() not in NESTED_OPTIONS for option in nested):
            raise NotConfined(f"Inside $expand these options are possible: {_listed(NESTED_OPTIONS)}")


def split_outside(text: str, separator: str) -> list[str]:
    """Split at separators outside strings and parentheses."""
    parts, depth, quoted = [""], 0, False
    for character in text:
        quoted ^= character == "'"
        depth += (character == "(") - (character == ")") if not quoted else 0
        if character == separator and not quoted and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
