"""Paths as callers, proxies and attackers may write them, and which operation each of them names by the description."""

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote

from hypothesis import strategies as st

from shared.http.operations import Operation
from shared.reference.documents import RESOURCES

OPERATIONS = [operation for resource in RESOURCES for operation in resource.operations]
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"]
IN_SEGMENTS = ["a", "A", ".", "%2e", ";", "%3B", "%2F", "%5C", "%252F", "%20", "%0a", "%ff", "%zz", "%", "+", "%C3%A9"]
PIECES = [
    *(*IN_SEGMENTS, "/", "//", "/./", "/../", "/%2e%2E/", "/..", "..%2F", "\\", "%252e%252e", ";v=1", "%3F", "%23"),
    *("#", "*", "%7Baccount%7D", "accounts", "oauth-token", "/oauth-token", "%2Foauth-token"),
    # The Kelvin sign and the long s, whose other cases are `k` and `S`.
    *("%E2%84%AA", "%C5%BF"),
]
SEGMENTS = st.lists(st.sampled_from(IN_SEGMENTS), min_size=1, max_size=4).map("".join)
UNENCODED_LETTER = re.compile(r"(?<!%)(?<!%[0-9A-Fa-f])[a-z]")


class Named(NamedTuple):
    """What a request names: an operation with the parameters of its path, or none, and the methods of the path.

    Parameters with bytes that are not UTF-8 have surrogates for these.
    """

    operation: Operation | None
    parameters: dict[str, str]
    methods: set[str]


@st.composite
def requests(
    draw: st.DrawFn, ids: st.SearchStrategy[str] = SEGMENTS, operations: Sequence[Operation] = OPERATIONS
) -> tuple[str, str]:
    """A method, and the path of one of these operations with these ids in it, changed in up to three places."""
    operation = draw(st.sampled_from(operations))
    target = re.sub(r"{\w+}", lambda _: draw(ids), operation.path) + draw(st.sampled_from(["", "", "/", "//"]))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(1, len(target)))
        target = target[:at] + draw(st.sampled_from(PIECES)) + target[at:]
    if draw(st.booleans()):
        target = UNENCODED_LETTER.sub(lambda letter: f"%{ord(letter[0]):02x}", target, count=draw(st.integers(1, 9)))
    method = draw(st.just(str(operation.method)) | st.sampled_from(METHODS))
    return method, draw(st.sampled_from([target, target, target.swapcase()]))


def decoded_segments(target: str) -> list[str]:
    """The segments of a path, each decoded once, without dot segments and one slash at the end.

    %2F stays (RFC 3986 section 2.2: it is no slash). Dot segments are removed as in section 5.2.4.
    """
    segments: list[str] = []
    decoded = [unquote(re.sub("(?i)%(2f)", r"%25\1", raw), errors="surrogateescape") for raw in target.split("/")[1:]]
    for segment in decoded:
        if segment == "..":
            segments = segments[:-1]
        elif segment != ".":
            segments.append(segment)
    if decoded[-1] in {".", ".."}:
        segments.append("")
    return segments[:-1] if segments[-1] == "" else segments


def belongs_to_the_host(target: str) -> bool:
    """Whether the host answers itself: no route can match a path that begins with an empty segment."""
    return decoded_segments(target)[:1] == [""]


def is_utf8(parameter: str) -> bool:
    """Whether all bytes of a parameter were UTF-8. The host leaves other ones encoded."""
    return parameter == parameter.encode(errors="replace").decode()


def named_by(method: str, target: str) -> Named:
    """What a request names. HEAD names what GET does."""
    segments = decoded_segments(target)
    here = [operation for operation in OPERATIONS if _matches(operation.path, segments)]
    methods = {"HEAD"} if any(operation.method == "GET" for operation in here) else set()
    assert len({operation.path for operation in here}) <= 1, "two descriptions of one path"
    wanted = "GET" if method == "HEAD" else method
    operation = next((operation for operation in here if operation.method == wanted), None)
    parameters = dict(zip(_parts(operation.path), segments, strict=True)) if operation else {}
    return Named(
        operation,
        {part[1:-1]: value for part, value in parameters.items() if part.startswith("{")},
        methods | {str(operation.method) for operation in here},
    )


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _matches(path: str, segments: list[str]) -> bool:
    parts = _parts(path)
    return len(parts) == len(segments) and all(
        bool(segment) if part.startswith("{") else segment.isascii() and segment.lower() == part
        for part, segment in zip(parts, segments, strict=True)
    )
