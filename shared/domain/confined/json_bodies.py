"""JSON bodies: read strictly, checked against closed lists, and written anew.

Graph takes names of properties and parameters in any case, so names are found without regard to case and are written in
Graph's own spelling. An object with two spellings of one name is refused: nobody knows which one Graph would take.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any

from shared.domain.confined.paths import ID_PATTERN
from shared.domain.confined.refused import TABLE, BadMailRequest, NotConfined

type Json = dict[str, Any]

# Types that a body may name (Graph: "message resource type", properties and relationships).
KNOWN_TYPES = frozenset(
    f"#microsoft.graph.{name}".lower()
    for name in (
        "message", "fileAttachment", "itemAttachment", "mailFolder", "recipient", "emailAddress", "itemBody",
        "followupFlag", "dateTimeTimeZone", "internetMessageHeader", "singleValueLegacyExtendedProperty",
        "multiValueLegacyExtendedProperty",
    )
)  # fmt: skip
TYPE, ETAG = "@odata.type", "@odata.etag"
# Four mebibytes of small values would take seconds, in which nothing else runs. A message to 500 recipients, as many as
# Exchange allows, has some 5,000 tokens.
MAX_TOKENS = 50_000
# Strings, and the marks before values. No quantifier goes back: a body is any bytes, also strings without an end.
STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
TOKEN = re.compile(STRING + rb"|[,\[{]", re.DOTALL)


def read_object(body: bytes) -> Json:
    """The object of a body; no body is an empty one. Raises BadMailRequest."""
    if not body:
        return {}
    if any(islice(TOKEN.finditer(body), MAX_TOKENS, None)):
        raise BadMailRequest("The body has too many values. Send it in several requests")
    try:
        value = json.loads(body.decode(), object_pairs_hook=_without_repetition, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise BadMailRequest("The body is not a JSON object in UTF-8") from None
    if not isinstance(value, dict):
        raise BadMailRequest("The body is not a JSON object in UTF-8")
    return value


def read_json(body: bytes) -> Json:
    """As `read_object`, without annotations that could lead elsewhere. Raises BadMailRequest and NotConfined."""
    value = read_object(body)
    for each in objects_in(value):
        _check_annotations(each)
    return value


def write_json(value: object) -> bytes:
    """JSON as Graph gets it.

    Raises BadMailRequest for a number beyond a double, half a surrogate pair (RFC 8259 section 8.2: unpredictable), and
    too many levels.
    """
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise BadMailRequest("The body has a number or text that is not valid in JSON, or too many levels") from None


def known_members(value: Json, names: Collection[str], ignored: Collection[str] = ()) -> Json:
    """The object with its members in Graph's spelling. `ignored` members are left out.

    Raises NotConfined for a member that is in neither list.
    """
    spellings = {name.casefold(): name for name in (*names, TYPE)}
    left_out = {name.casefold() for name in (*ignored, ETAG)}
    members = {name.casefold(): member for name, member in value.items()}
    if members.keys() - spellings.keys() - left_out:
        raise NotConfined(f"The body has a member that is not one of {', '.join(sorted(names))}; {TABLE}")
    return {spellings[name]: member for name, member in members.items() if name in spellings}


def member(value: object, name: str) -> Any:  # noqa: ANN401 - any JSON
    """The member with this name in any case; None if there is none, or if `value` is not an object."""
    members = value.items() if isinstance(value, dict) else ()
    return next((each for key, each in members if key.casefold() == name.casefold()), None)


def checked_destination(body: Json) -> Json:
    """The body of a move or copy: the id of a folder, or a well-known name."""
    checked = known_members(body, ("destinationId",))
    destination = checked.get("destinationId")
    if not isinstance(destination, str) or not ID_PATTERN.fullmatch(destination):
        raise BadMailRequest("destinationId has to be the id or well-known name of a folder of this mailbox")
    return checked


def checked_folder(body: Json) -> Json:
    """A folder to create or rename."""
    return known_members(body, ("displayName", "isHidden"), ignored=FOLDER_READ_ONLY)


FOLDER_READ_ONLY = ("id", "parentFolderId", "childFolderCount", "unreadItemCount", "totalItemCount", "sizeInBytes")


def objects_in(value: object) -> Iterator[Json]:
    """All objects in a value, on any level."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield each
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each


def _check_annotations(value: Mapping[str, Any]) -> None:
    """Annotations other than the type could point to other things (OData JSON 4.01 section 4.6.8, `@odata.bind`)."""
    for name, annotation in value.items():
        if "@" not in name:
            continue
        folded = name.casefold()
        is_known = folded == ETAG or (folded == TYPE and str(annotation).casefold() in KNOWN_TYPES)
        if not is_known:
            raise NotConfined("The body has an annotation that is not possible here: @odata.type of mail is, others no")


def _without_repetition(pairs: list[tuple[str, Any]]) -> Json:
    if len({name.casefold() for name, _ in pairs}) < len(pairs):
        raise BadMailRequest("An object of the body has one name twice. Names count without regard to case")
    return dict(pairs)


def _refuse_constant(_: str) -> None:
    raise ValueError
