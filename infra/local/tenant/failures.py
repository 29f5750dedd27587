"""The catalogue of failures (failures.toml), and the exception that makes an endpoint respond with one."""

import tomllib
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from string import Template
from typing import Any, Literal

Service = Literal["entra", "graph"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One failure: its response, and the source of that response.

    `code` is the AADSTS number or Graph's error code; `error` and `suberror` are OAuth's. `claims`: the response has a
    claims challenge. `retry_after` is in seconds. `is_gateway`: a gateway responds, without JSON.
    `further_codes`: the other AADSTS numbers of an old response.
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
    is_gateway: bool = False
    further_codes: tuple[int, ...] = ()

    def message(self, **details: str) -> str:
        """The text with the details filled in."""
        return Template(self.text).safe_substitute(details)


class Refusal(Exception):
    """The request fails; `details` fill in the failure's text, `retry_after` (seconds) replaces its own value."""

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
    row_fields = {"text": row} if isinstance(row, str) else row
    group_fields = {name: value for name, value in group.items() if name != "rows"}
    return Failure(**{"key": key, "kind": kind, "code": key, **group_fields, **row_fields})


def _gateway_failure(status: HTTPStatus) -> Failure:
    key, text = f"http-{int(status)}", status.phrase
    return Failure(key=key, kind="transient", status=status, text=text, source="RFC 9110", code=key, is_gateway=True)


ENTRA_FAILURES = _read("entra")
GRAPH_FAILURES = _read("graph")
GATEWAY_FAILURES = {
    f"http-{int(status)}": _gateway_failure(status)
    for status in HTTPStatus
    if status.is_server_error or status in (408, 429)
}


def find_failure(service: Service, key: str) -> Failure:
    """The failure with this key; `http-NNN` is a gateway's. Raises KeyError."""
    return GATEWAY_FAILURES.get(key) or (ENTRA_FAILURES if service == "entra" else GRAPH_FAILURES)[key]
