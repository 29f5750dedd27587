"""One mailbox at Graph: every call to Graph's mail goes through here, with the token of its account."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

from shared.domain.account import Account
from shared.domain.clouds import Cloud, Resource
from shared.domain.confined.refused import AnswerOverLimit, NotConfined, OutcomeUnknown
from shared.domain.errors import InvalidInput, Unavailable
from shared.domain.failure import GRAPH_UNAVAILABLE, MailboxRefusal
from shared.domain.graph_answer import challenge_claims
from shared.ports import App
from shared.ports.mail import AnswerLost, AnswerTooLarge, CallNotSent, GraphAnswer, GraphCall
from shared.usecases.tokens.account_grant import not_authorized
from shared.usecases.tokens.account_token import AccountToken, account_token, token_after_rejection

RETRY_AFTER = timedelta(seconds=10)
# A gateway answers in the place of Graph, which may have done what it was asked (RFC 9110 sections 15.6.3, 15.6.5).
GATEWAY_FAILURES = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT})


@dataclass(slots=True)
class GraphMailbox:
    """A mailbox with the newest token of its account. It lasts as long as one request.

    `check` raises if the caller may no longer use it. Every call after the first one of a request is checked again.
    """

    app: App
    cloud: Cloud
    token: AccountToken
    check: Callable[[], Awaitable[object]] | None = None

    @property
    def account(self) -> Account:
        """The account, as it was when the token was read."""
        return self.token.account

    @property
    def user(self) -> str:
        """What stands for the mailbox in Graph's paths: its address, or the object id of the person who owns it."""
        return self.account.email if self.account.shared else self.account.principal_id.partition(".")[2]

    async def call(self, call: GraphCall, *, is_repeatable: bool) -> GraphAnswer:
        """Make a call once; if Graph refuses the token, again with a new one, because then nothing was done.

        Raises NotAuthorized for a person's action, Unavailable when nothing was sent, OutcomeUnknown when a call that
        is not repeatable got no answer, and AnswerOverLimit.
        """
        answer = await self._send(call, is_repeatable=is_repeatable)
        if answer.status != HTTPStatus.UNAUTHORIZED:
            return answer
        claims = challenge_claims(answer.headers.get("www-authenticate", ""))
        self.token = await token_after_rejection(self.app, self.token, claims)
        await self.check_again()
        answer = await self._send(call, is_repeatable=is_repeatable)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            raise not_authorized(MailboxRefusal.TOKEN_REFUSED)
        return answer

    async def check_again(self) -> None:
        """Raise what `check` raises."""
        if self.check is not None:
            await self.check()

    async def _send(self, call: GraphCall, *, is_repeatable: bool) -> GraphAnswer:
        max_bytes = self.app.config.max_answer_bytes
        try:
            answer = await self.app.graph_mail(self.cloud, self.token.token.token, call, max_bytes)
        except CallNotSent as error:
            raise _unavailable(error.code, "Microsoft Graph cannot be reached. Nothing was sent") from None
        except AnswerTooLarge:
            raise AnswerOverLimit(max_bytes) from None
        except AnswerLost:
            if is_repeatable:
                raise _unavailable(GRAPH_UNAVAILABLE, "Microsoft Graph did not answer") from None
            raise OutcomeUnknown from None
        if answer.status in GATEWAY_FAILURES and not is_repeatable:
            raise OutcomeUnknown
        if answer.status == HTTPStatus.SERVICE_UNAVAILABLE and "retry-after" not in answer.headers:
            return replace_header(answer, "retry-after", str(int(RETRY_AFTER.total_seconds())))
        return answer


def replace_header(answer: GraphAnswer, name: str, value: str) -> GraphAnswer:
    """The answer with this header."""
    return answer._replace(headers={**answer.headers, name: value})


async def open_mailbox(app: App, account_id: str) -> GraphMailbox:
    """The mailbox of an account. Raises what `account_token` raises, and NotConfined for an account without Graph."""
    try:
        token = await account_token(app, account_id, Resource.GRAPH)
    except InvalidInput:
        raise NotConfined(
            "This account is opened by IMAP: its OAuth app has no permissions of Microsoft Graph"
        ) from None
    oauth_app = await app.oauth_apps.get(token.account.app)
    if oauth_app is None:
        raise not_authorized("oauth_app_gone")
    return GraphMailbox(app, oauth_app.cloud, token)


def _unavailable(code: str, what: str) -> Unavailable:
    return Unavailable(code, f"{what}. Try again in a moment", RETRY_AFTER)
