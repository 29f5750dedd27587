"""Graph's paths: what they address, in all their spellings."""

import re
from dataclasses import dataclass

# A key follows its collection as a segment or in parentheses.
# https://learn.microsoft.com/graph/api/user-get (sign-in names that begin with a dollar sign)
KEYED_SEGMENT = re.compile(r"([A-Za-z]+)\('((?:[^']|'')*)'\)")
FUNCTION = re.compile(r"(?:microsoft\.graph\.)?(\w+)(?:\(\))?", re.IGNORECASE)
COLLECTIONS = {
    "mailfolders": "folders",
    "childfolders": "folders",
    "messages": "messages",
    "attachments": "attachments",
}
# What can follow a collection without being a key.
FUNCTIONS = {"delta", "createuploadsession"}
INNER_FOLDER = re.compile(r"(?:/childfolders/\{id\})+")
MESSAGE_IN_FOLDER = re.compile(r"^mailfolders/\{id\}/messages/\{id\}")


@dataclass(frozen=True, slots=True)
class Target:
    """What a path addresses below a user: `shape` is the path in lower case with {id} for each key.

    A folder inside folders, and a message in a folder, have the same shape as without the folders around them.
    `user` is None for /me.
    """

    user: str | None
    shape: str
    folders: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    attachments: tuple[str, ...] = ()


def read_target(path: str) -> Target | None:
    """What the path, which begins with /v1.0/, addresses; None if it is not below a user."""
    segments = [part for segment in _resolved(path.removeprefix("/v1.0/")) for part in _parts(segment)]
    match [segment.lower() for segment in segments[:2]]:
        case ["me", *_]:
            return _below_user(None, segments[1:])
        case ["users", _]:
            return _below_user(segments[1], segments[2:])
    return None


def _resolved(path: str) -> list[str]:
    """The segments without dot segments (RFC 3986 section 5.2.4).

    Whether Graph resolves them is not known. The tenant does, so that a client that lets them through is found out.
    """
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            segments = segments[:-1]
        elif segment != ".":
            segments.append(segment)
    return segments


def _parts(segment: str) -> list[str]:
    keyed = KEYED_SEGMENT.fullmatch(segment)
    return [keyed[1], keyed[2].replace("''", "'")] if keyed else [segment]


def _below_user(user: str | None, segments: list[str]) -> Target:
    shape: list[str] = []
    keys: dict[str, list[str]] = {"folders": [], "messages": [], "attachments": []}
    for segment in segments:
        function = FUNCTION.fullmatch(segment)
        name = function[1].lower() if function else segment.lower()
        collection = COLLECTIONS.get(shape[-1]) if shape else None
        if collection and name not in FUNCTIONS and not segment.startswith("$"):
            keys[collection].append(segment)
            shape.append("{id}")
        else:
            shape.append(name)
    text = MESSAGE_IN_FOLDER.sub("messages/{id}", INNER_FOLDER.sub("", "/".join(shape)))
    return Target(user, text, *(tuple(values) for values in keys.values()))
