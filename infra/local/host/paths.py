"""Paths and queries as the real host's web server (Kestrel) and ASP.NET Core read and write them."""

import re
from urllib.parse import quote

ENCODED = re.compile("(?:%[0-9a-fA-F]{2})+")
ENCODED_BUT_SLASH = re.compile("(?:%(?!2[fF])[0-9a-fA-F]{2})+")
# What a path may hold as it is (RFC 3986, `pchar`, and the slash); a percent sign only before two digits.
TO_ENCODE = re.compile(r"%(?![0-9a-fA-F]{2})|[^\w%!$&'()*+,;=:@/.~-]+", re.ASCII)


class BadPathError(ValueError):
    """A path that the web server refuses with 400."""


def read_path(raw: str) -> str:
    """Decode a path once, then take its dot segments out: the order in which Kestrel does it.

    `%2F` stays, as do bytes that are not UTF-8 and percent signs without two digits. Raises BadPathError for a null.
    """
    path = _decoded(raw, ENCODED_BUT_SLASH)
    if "\0" in path:
        raise BadPathError
    return _without_dot_segments(path) if "/." in path else path


def write_path(path: str) -> str:
    """Encode a decoded path for a URL (`PathString.ToUriComponent`): what looks encoded stays as it is."""
    return TO_ENCODE.sub(lambda found: quote(found[0], safe=""), path)


def read_query(raw: str) -> dict[str, str]:
    """Values by name; names are the same in any case, and values of the same name are joined by a comma.

    The spelling of the name's second use counts; empty values are dropped, and names that have no other.
    """
    found: dict[str, tuple[str, list[str]]] = {}
    for part in filter(None, raw.split("&")):
        name, _, value = (_decoded(piece.replace("+", " "), ENCODED) for piece in part.partition("="))
        spelling, values = found.get(name.lower(), (name, []))
        found[name.lower()] = (name if len(values) == 1 else spelling, [*values, value])
    merged = {name: ",".join(filter(None, values)) for name, values in found.values()}
    return {name: value for name, value in merged.items() if value}


def _decoded(text: str, encoded: re.Pattern[str]) -> str:
    return encoded.sub(lambda found: _decoded_run(found[0]), text) if "%" in text else text


def _decoded_run(run: str) -> str:
    text, octets = "", bytes.fromhex(run.replace("%", ""))
    while octets:
        try:
            return text + octets.decode()
        except UnicodeDecodeError as bad:
            kept = run[-3 * len(octets) :][3 * bad.start : 3 * bad.end]
            text += octets[: bad.start].decode() + kept
            octets = octets[bad.end :]
    return text


def _without_dot_segments(path: str) -> str:
    """RFC 3986 §5.2.4."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join([*kept, ""] if segments[-1] in {".", ".."} else kept)
