"""The catalogue of failures that the tenant can answer with, and the exception that carries one to the answer."""

import tomllib
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from string import Template
from typing import Any, Literal

Service = Literal["entra", "graph"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One failure: how it is answered and which page says so.

    `code` is the AADSTS number or Graph's error code; `error` and `suberror` are OAuth's. `claims` = the answer
    challenges the client to send claims along with the next sign-in. `retry_after` is in seconds. A `bare` one has no
    JSON body.
    """

    key: str
    kind: str
    status: int
    text: str
    source: str
    code: str
    error: str = ""
    suberror: str | None = None
    claims: bool = False
    retry_after: int | None = None
    bare: bool = False

    def message(self, **details: str) -> str:
        """The text with its details filled in."""
        return Template(self.text).safe_substitute(details)


class Refusal(Exception):
    """The request is answered with a failure; `details` fill in its text, `retry_after` (seconds) replaces its own."""

    def __init__(self, key: str, *, retry_after: int | None = None, **details: str) -> None:
        super().__init__(key)
        self.key = key
        self.retry_after = retry_after
        self.details = details


def _read(service: Service) -> dict[str, Failure]:
    groups = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))[service]
    return {
        key: _failure(key, kind, group, row) for kind, group in groups.items() for key, row in group["rows"].items()
    }


def _failure(key: str, kind: str, group: dict[str, Any], row: str | dict[str, Any]) -> Failure:
    told = {"text": row} if isinstance(row, str) else row
    shared = {name: value for name, value in group.items() if name != "rows"}
    return Failure(**{"key": key, "kind": kind, "code": key, **shared, **told})


def _bare(status: HTTPStatus) -> Failure:
    key = f"http-{int(status)}"
    return Failure(key=key, kind="transient", status=status, text=status.phrase, source="RFC 9110", code=key, bare=True)


ENTRA = _read("entra")
GRAPH = _read("graph")
BARE = {f"http-{int(status)}": _bare(status) for status in HTTPStatus if status.is_server_error or status in (408, 429)}


def find(service: Service, key: str) -> Failure:
    """The failure of that name. `http-NNN` is a bare answer of a gateway in between; KeyError if there is none."""
    return BARE.get(key) or (ENTRA if service == "entra" else GRAPH)[key]
