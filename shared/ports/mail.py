"""Calls to the mail of Microsoft Graph, for confined access."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from shared.domain.clouds import Cloud
from shared.domain.secret import Secret


@dataclass(frozen=True, slots=True)
class GraphCall:
    """A call that was built from parsed parts.

    `path` begins with `/v1.0/users/`, and `path` and `query` (without its question mark) are percent-encoded. `headers`
    are all that the call may carry besides Authorization and the client request id.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


class GraphAnswer(NamedTuple):
    """An answer as it came. The names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class CallNotSent(Exception):
    """Graph could not be reached, so the call had no effect. `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class AnswerLost(Exception):
    """The call was sent, or part of it, and no whole answer came: whether it had an effect is unknown."""


class AnswerTooLarge(Exception):
    """The answer is over the limit. The call had its effect."""


class GraphMail(Protocol):
    """Sends one call at most once, follows no redirect, and reads the whole answer.

    Raises CallNotSent, AnswerLost, and AnswerTooLarge for an answer of more than `max_bytes`.
    """

    async def __call__(self, cloud: Cloud, token: Secret, call: GraphCall, max_bytes: int) -> GraphAnswer: ...

    async def close(self) -> None: ...
