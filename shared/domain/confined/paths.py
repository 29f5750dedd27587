"""The grammar of paths. A path is matched against the table of operations, and the path for Graph is built anew.

The host has decoded the path once and taken its dot segments out, so nothing here decodes again: an encoded slash,
bytes that are not UTF-8, and what was encoded twice all still have a `%`, which is refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from http import HTTPMethod
from urllib.parse import quote

from shared.domain.confined.operations import OPERATIONS, MailOperation
from shared.domain.confined.refused import TABLE, NotConfined

MAX_ID_CHARACTERS = 512  # an attachment's id is about 200 characters long
MAX_MAILBOX_CHARACTERS = 512
# Ids of Exchange are base64 for URLs; well-known folder names are letters.
ID_PATTERN = re.compile(rf"[A-Za-z0-9_=-]{{1,{MAX_ID_CHARACTERS}}}")
# OData writes the key of an entity as a segment or in parentheses (OData 4.01 URL conventions, section 4.3).
KEYED_PATTERN = re.compile(r"([A-Za-z]+)\('([^']+)'\)")
UNSAFE_CHARACTERS = re.compile(r"[\\%?#\x00-\x1f\x7f]")
DELTA_SPELLINGS = frozenset({"delta()", "microsoft.graph.delta", "microsoft.graph.delta()"})
ANY_ID = "{}"
UPLOAD_SESSION = "createuploadsession"
NO_UPLOAD_SESSION = (
    "Upload sessions are not available: their URL would open the person's mailbox. Attach files of up to 3 MB with"
    " POST …/attachments"
)
NOT_IN_TABLE = f"This path is not part of confined access, which reaches messages and mail folders only; {TABLE}"


@dataclass(frozen=True, slots=True)
class MatchedPath:
    """A path that has a row. `mailbox` is an address or an account id, as the caller wrote it."""

    mailbox: str
    operation: MailOperation
    segments: tuple[str, ...]

    def in_mailbox(self, user: str) -> str:
        """The path at Graph, percent-encoded; `user` identifies the mailbox."""
        segments = (quote(user, safe="@"), *(quote(segment, safe="$=") for segment in self.segments))
        return f"/v1.0/users/{'/'.join(segments)}"


def match_path(method: str, path: str) -> MatchedPath:
    """The row for a path that begins after `/v1.0/`, such as `users/support@contoso.example/messages`.

    Raises NotConfined with the rule that the path breaks.
    """
    if UNSAFE_CHARACTERS.search(path):
        raise NotConfined("The path has an encoded or forbidden character. Use ids exactly as Graph gave them")
    root, mailbox, segments = _split(path)
    if root == "me":
        raise NotConfined("There is no /me here. Write /users/ and the address of the mailbox")
    if root != "users" or not mailbox:
        raise NotConfined(f"Paths begin with /v1.0/users/ and the address of the mailbox; {TABLE}")
    if any(segment in {"", ".", ".."} for segment in (mailbox, *segments)) or len(mailbox) > MAX_MAILBOX_CHARACTERS:
        raise NotConfined("The path has an empty or relative segment. Leave it out")
    canonical, rows = _follow(segments)
    operation = rows.get("GET" if method == HTTPMethod.HEAD else method)
    if operation is None:
        raise NotConfined(f"This path can be used with {' and '.join(sorted(rows))} only; {TABLE}")
    return MatchedPath(mailbox, operation, canonical)


def _split(path: str) -> tuple[str, str, list[str]]:
    """The root in lower case, the mailbox, and the segments after it, with keys in parentheses as segments."""
    segments: list[str] = []
    for segment in path.split("/"):
        keyed = KEYED_PATTERN.fullmatch(segment)
        segments += keyed.groups() if keyed else (segment,)
    root, mailbox, *rest = [*segments, "", ""][: max(len(segments), 2)]
    return root.lower(), mailbox, rest


@dataclass(slots=True)
class _Node:
    """A place in the tree of all paths: what may follow, by segment in lower case, and the rows that end here."""

    name: str = ""
    following: dict[str, "_Node"] = field(default_factory=dict)
    rows: dict[str, MailOperation] = field(default_factory=dict)


@cache
def _tree() -> _Node:
    root = _Node()
    for operation in OPERATIONS:
        for shape in operation.shapes:
            node = root
            for segment in shape.split("/"):
                key = ANY_ID if segment.startswith("{") else segment.lower()
                node = node.following.setdefault(key, _Node(segment))
            node.rows[operation.method] = operation
    return root


def _follow(segments: list[str]) -> tuple[tuple[str, ...], Mapping[str, MailOperation]]:
    """The segments as Graph documents them, and the rows of the path by method. Raises NotConfined."""
    node, canonical = _tree(), list[str]()
    for segment in segments:
        name = segment.lower()
        if name == UPLOAD_SESSION:
            raise NotConfined(NO_UPLOAD_SESSION)
        known = node.following.get("delta" if name in DELTA_SPELLINGS else name)
        if known is None:
            known = node.following.get(ANY_ID)
            if known is None or not ID_PATTERN.fullmatch(segment):
                raise NotConfined(NOT_IN_TABLE)
            canonical.append(segment)
        else:
            canonical.append(known.name)
        node = known
    if not node.rows:
        raise NotConfined(NOT_IN_TABLE)
    return tuple(canonical), node.rows
