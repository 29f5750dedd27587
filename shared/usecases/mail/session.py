"""The mailbox of one request of the mail API: every call to Graph has its turn, and is authorized when it is made."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPMethod
from typing import Any
from urllib.parse import quote, urlencode

from shared.domain.account import Account
from shared.domain.caller import Caller, Scope
from shared.domain.clouds import Cloud
from shared.domain.confined.headers import JSON
from shared.domain.confined.json_bodies import write_json
from shared.domain.confined.paths import ID_PATTERN
from shared.domain.errors import NotFound
from shared.domain.formats import normalize_address, same_address
from shared.domain.mail.graph_error import NoSuchItem, error_of
from shared.ports import App
from shared.ports.mail import GraphAnswer, GraphCall
from shared.usecases.mail.answers import decoded
from shared.usecases.mail.find_account import NO_SUCH_MAILBOX
from shared.usecases.mail.graph_mailbox import GraphMailbox
from shared.usecases.mail.open_named import reopen

# Ids stay valid when a message moves (Graph: "Obtain immutable identifiers for Outlook resources").
IMMUTABLE_IDS = 'IdType="ImmutableId"'
REPEATABLE = frozenset({HTTPMethod.GET, HTTPMethod.PATCH, HTTPMethod.DELETE})

type Identify = Callable[[], Awaitable[Caller]]
"""Finds out who calls, as of now. Raises Unauthorized and Forbidden."""


@dataclass(frozen=True, slots=True)
class MailCall:
    """A call within the mailbox.

    `path` are the segments after the mailbox, not encoded yet. `query` has Graph's options by name. `content` is a JSON
    value, or bytes of the `content_type`. `preferences` go into the header `Prefer`, besides immutable ids. A POST
    `is_repeatable` if a second one changes nothing.
    """

    method: HTTPMethod
    path: tuple[str, ...]
    query: Mapping[str, str] | None = None
    content: Any = None
    content_type: str = JSON
    preferences: tuple[str, ...] = ()
    headers: Mapping[str, str] | None = None
    is_repeatable: bool = False


@dataclass(slots=True)
class MailSession:
    """An account's mailbox, for as long as one request or one run of a timer.

    `scope` is what the caller needs. Once a call was made, the account has to keep its mailbox: a rebinding in between
    ends the session.
    """

    app: App
    identify: Identify
    account_id: str
    scope: Scope
    _mailbox: GraphMailbox | None = None

    async def account(self) -> Account:
        """The account, as of now. Raises what opening it raises."""
        return (await self._opened()).account

    async def cloud(self) -> Cloud:
        """The cloud that the mailbox is in. Raises what opening it raises."""
        return (await self._opened()).cloud

    async def get(self, *path: str, query: Mapping[str, str] | None = None, preferences: tuple[str, ...] = ()) -> Any:  # noqa: ANN401 - any JSON
        """The JSON at a path. Raises as `call`, and AnswerNotUnderstood."""
        answer = await self.call(MailCall(HTTPMethod.GET, path, query, preferences=preferences))
        return decoded(answer.body)

    async def call(self, call: MailCall) -> GraphAnswer:
        """Make a call. Raises what `attempt` raises, and Graph's error as a refusal (`graph_error.error_of`)."""
        answer = await self.attempt(call)
        if error := error_of(answer.status, answer.headers, answer.body, await self.account()):
            raise error
        return answer

    async def attempt(self, call: MailCall) -> GraphAnswer:
        """Make a call, and return whatever Graph answers.

        Raises NotFound, Forbidden and NotAuthorized if the account may no longer be used, TooManyRequests if the turn
        does not come, Unavailable if nothing was sent, OutcomeUnknown if a POST got no answer, and AnswerOverLimit.
        """
        mailbox = await self._opened()
        caller = await self.identify()
        async with self.app.turns.turn(turn_key(mailbox.account), caller.id):
            # While this call waited for its turn, the account or the caller may have lost what it takes.
            mailbox = self._mailbox = await self._reopened()
            mailbox.check = self._reopened
            is_repeatable = call.is_repeatable or call.method in REPEATABLE
            return await mailbox.call(_built(mailbox, call), is_repeatable=is_repeatable)

    async def _opened(self) -> GraphMailbox:
        if self._mailbox is None:
            self._mailbox = await self._reopened()
        return self._mailbox

    async def _reopened(self) -> GraphMailbox:
        caller = await self.identify()
        caller.require_scope(self.scope)
        opened = await reopen(self.app, caller, self.account_id, self.account_id)
        if self._mailbox is not None and not same_address(opened.account.email, self._mailbox.account.email):
            raise NotFound(NO_SUCH_MAILBOX)
        return opened


def checked_id(text: str) -> str:
    """An id of Graph that may be a segment of a path. Raises NoSuchItem for what cannot be one."""
    if not ID_PATTERN.fullmatch(text):
        raise NoSuchItem
    return text


def turn_key(account: Account) -> tuple[str, str]:
    """Exchange limits concurrency by app and mailbox (Graph: "Throttling limits", Outlook service)."""
    return account.app, account.inbox_id or normalize_address(account.email)


def _built(mailbox: GraphMailbox, call: MailCall) -> GraphCall:
    segments = "/".join(quote(segment, safe="$=") for segment in call.path)
    headers = {"Accept": JSON, "Prefer": ", ".join((IMMUTABLE_IDS, *call.preferences)), **(call.headers or {})}
    body = call.content
    if body is not None:
        headers["Content-Type"] = call.content_type
        body = body if isinstance(body, bytes) else write_json(body)
    query = urlencode(call.query or {}, quote_via=quote)
    return GraphCall(call.method, f"/v1.0/users/{quote(mailbox.user, safe='@')}/{segments}", query, headers, body)
