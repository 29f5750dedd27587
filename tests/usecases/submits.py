"""Messages to submit, what became of them in the mailbox, and instances of the app that die in the middle of it."""

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPMethod
from typing import Any, cast

from shared.domain.caller import Caller, Scope
from shared.domain.confined.json_bodies import member
from shared.ports import App, GraphMail
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.mail.answers import decoded
from shared.usecases.mail.session import MailCall, MailSession
from shared.usecases.mail.submit import Order, Submitted, submit

OUTSIDE = "customer@elsewhere.example"
numbers = itertools.count(1)


class Killed(BaseException):
    """The process is dead: nothing of it runs any more, and nothing of ours catches this."""


@dataclass
class Death:
    """Kills at the call of this number, counted from one: `before` it takes effect, or after that."""

    at: int = 0
    before: bool = True
    calls: int = 0

    async def around[R](self, call: Callable[..., Awaitable[R]], *arguments: Any) -> R:
        self.calls += 1
        dies = self.at and self.calls >= self.at
        if dies and (self.before or self.calls > self.at):
            raise Killed
        result = await call(*arguments)
        if dies:
            raise Killed
        return result


@dataclass
class Mortal:
    """A port of the app whose calls count."""

    real: Any
    death: Death

    def __getattr__(self, name: str) -> Any:
        real = getattr(self.real, name)

        async def call(*arguments: Any) -> Any:
            return await self.death.around(real, *arguments)

        return call if name in {"get", "insert", "replace", "remove", "add"} else real

    async def __call__(self, *arguments: Any) -> Any:
        return await self.death.around(self.real, *arguments)


def mortal(app: App, death: Death) -> App:
    """The app, as a process that dies at a request to the tables of a submission, or at a call to Graph."""
    stores = replace(
        app.stores,
        submissions=Mortal(app.stores.submissions, death),
        agenda=Mortal(app.stores.agenda, death),
    )
    return replace(app, stores=stores, graph_mail=cast("GraphMail", Mortal(app.graph_mail, death)))


def at_once(app: App) -> App:
    """The app, which looks at what it sent without pauses."""
    return replace(app, timeouts=replace(app.timeouts, looks_at_sent=(timedelta(), timedelta())))


async def administrator() -> Caller:
    return ADMINISTRATOR


def session_of(app: App, account: str) -> MailSession:
    return MailSession(app, administrator, account, Scope.MAIL_SEND)


def order(app: App, key: str | None, send_at: datetime | None = None, draft: str | None = None) -> Order:
    return Order(ADMINISTRATOR.id, key, f"body of {key}", send_at or app.clock(), draft)


async def send_one(
    app: App, account: str, subject: str, key: str | None, send_at: datetime | None = None, to: str = OUTSIDE
) -> Submitted:
    """Submit a message with this subject."""
    session = session_of(app, account)

    async def compose(message_id: str) -> str:
        return await new_draft(session, subject, to, internetMessageId=message_id)

    return await submit(app, session, order(app, key, send_at), compose)


async def new_draft(
    session: MailSession, subject: str, to: str = OUTSIDE, sender: str | None = None, **more: Any
) -> str:
    message = {
        "subject": subject,
        "toRecipients": [{"emailAddress": {"address": to}}],
        "from": {"emailAddress": {"address": sender or (await session.account()).email}},
        **more,
    }
    answer = await session.call(MailCall(HTTPMethod.POST, ("messages",), content=message))
    return str(member(decoded(answer.body), "id"))


async def found(app: App, account: str, folder: str, subject: str) -> int:
    """How many messages with this subject the folder has."""
    query = {"$filter": f"subject eq '{subject}'", "$select": "id"}
    page = await session_of(app, account).get("mailFolders", folder, "messages", query=query)
    return len(page["value"])


def new_subject() -> str:
    return f"Message {next(numbers)} of a submission"
