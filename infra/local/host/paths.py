"""Reads and writes paths and queries as the real host's web server (Kestrel) and ASP.NET Core do."""

import re
from urllib.parse import quote

ENCODED = re.compile("(?:%[0-9a-fA-F]{2})+")
ENCODED_EXCEPT_SLASH = re.compile("(?:%(?!2[fF])[0-9a-fA-F]{2})+")
# Everything that a path may not hold as it is (RFC 3986, `pchar`, and the slash).
TO_ENCODE = re.compile(r"%(?![0-9a-fA-F]{2})|[^\w%!$&'()*+,;=:@/.~-]+", re.ASCII)


class BadPathError(ValueError):
    """The web server rejects the path with 400."""


def read_path(raw: str) -> str:
    """Decode a path once, then remove its dot segments: Kestrel's order.

    `%2F`, bytes that are not UTF-8 and percent signs without two digits stay. Raises BadPathError for a null.
    """
    path = _decode(raw, ENCODED_EXCEPT_SLASH)
    if "\0" in path:
        raise BadPathError
    return _without_dot_segments(path) if "/." in path else path


def write_path(path: str) -> str:
    """Encode a decoded path for a URL (`PathString.ToUriComponent`). What looks encoded stays as it is."""
    return TO_ENCODE.sub(lambda match: quote(match[0], safe=""), path)


def read_query(raw: str) -> dict[str, str]:
    """Values by name. Names are case-insensitive, and values of the same name are joined by a comma.

    A repeated name keeps the spelling of its second use. Empty values, and names with no other value, are dropped.
    """
    parameters: dict[str, tuple[str, list[str]]] = {}
    for part in filter(None, raw.split("&")):
        name, _, value = (_decode(piece.replace("+", " "), ENCODED) for piece in part.partition("="))
        spelling, values = parameters.get(name.lower(), (name, []))
        parameters[name.lower()] = (name if len(values) == 1 else spelling, [*values, value])
    merged = {name: ",".join(filter(None, values)) for name, values in parameters.values()}
    return {name: value for name, value in merged.items() if value}


def _decode(text: str, encoded: re.Pattern[str]) -> str:
    return encoded.sub(lambda match: _decode_run(match[0]), text) if "%" in text else text


def _decode_run(run: str) -> str:
    text, remaining = "", bytes.fromhex(run.replace("%", ""))
    while remaining:
        try:
            return text + remaining.decode()
        except UnicodeDecodeError as error:
            still_encoded = run[-3 * len(remaining) :][3 * error.start : 3 * error.end]
            text += remaining[: error.start].decode() + still_encoded
            remaining = remaining[error.end :]
    return text


def _without_dot_segments(path: str) -> str:
    """Remove dot segments (RFC 3986 section 5.2.4)."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join([*kept, ""] if segments[-1] in {".", ".."} else kept)
