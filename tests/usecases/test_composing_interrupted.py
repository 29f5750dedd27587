"""Composing that is interrupted at any call: what is found by its Message-ID is whole, and no half draft stays."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPMethod

import pytest

from infra.local.visitor import Visitor
from shared.domain.caller import Scope
from shared.domain.clouds import Cloud
from shared.domain.confined.refused import OutcomeUnknown
from shared.domain.errors import MailbindError
from shared.domain.mail.composition import Composition, File, Reference, ReferenceAction
from shared.domain.mail.message import Address
from shared.domain.secret import Secret
from shared.ports import App, GraphAnswer, GraphCall, GraphMail
from shared.ports.mail import AnswerLost, CallNotSent
from shared.usecases.accounts.change import remove_account
from shared.usecases.mail.compose import compose, find_drafts
from shared.usecases.mail.session import MailCall, MailSession
from tests.journey.conftest import Tenant
from tests.usecases.conftest import NewPerson, bind
from tests.usecases.test_composing import administrator, drafts, question, shown

FAULTS = ("lost before", "lost after", "not sent", "refused", "killed")
LOST = {"lost before", "lost after"}
# Look for the message, create the draft, list its attachments, delete two, add one, and change the draft.
CALLS_OF_FORWARD, CREATING = 7, 1
ANYBODY = Address("", "a@fabrikam.example")
NOTE = File("note.txt", b"note", "text/plain")
MESSAGE_ID = "<interrupted@contoso.example>"


class Killed(Exception):
    """The process ends."""


@dataclass
class Interrupted:
    """Calls Graph as the app does, but one call, counted from 0, has a fault."""

    send: GraphMail
    at: int = -1
    fault: str = ""
    begun: int = 0

    async def __call__(self, cloud: Cloud, token: Secret, call: GraphCall, max_bytes: int) -> GraphAnswer:
        self.begun += 1
        if self.begun - 1 != self.at:
            return await self.send(cloud, token, call, max_bytes)
        match self.fault:
            case "lost before":
                raise AnswerLost
            case "not sent":
                raise CallNotSent("graph_unavailable")
            case "refused":
                return GraphAnswer(400, {}, b'{"error": {"code": "ErrorInvalidRequest", "message": "no"}}')
        await self.send(cloud, token, call, max_bytes)
        raise AnswerLost if self.fault == "lost after" else Killed

    @contextmanager
    def interrupted(self, at: int, fault: str) -> Iterator[None]:
        """The call with this number after now has the fault."""
        self.at, self.begun, self.fault = at, 0, fault
        try:
            yield
        finally:
            self.at = -1

    async def close(self) -> None:
        await self.send.close()


@pytest.fixture
async def graph(app: App) -> Interrupted:
    return Interrupted(app.graph_mail)


@pytest.fixture
async def session(
    app: App, graph: Interrupted, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> AsyncIterator[MailSession]:
    assert tenant
    account = await bind(app, visitor, person())
    yield MailSession(replace(app, graph_mail=graph), administrator, account, Scope.MAIL_WRITE)
    await remove_account(app, account)


def whole(message: dict[str, object]) -> bool:
    attachments = message["attachments"]
    assert isinstance(attachments, list)
    return "Now whole" in str(message["body"]) and [NOTE.name] == [each["name"] for each in attachments]


@pytest.mark.parametrize("at", range(CALLS_OF_FORWARD + 1))
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_forward_is_whole_or_not_there(
    session: MailSession, graph: Interrupted, tenant: Tenant, fault: str, at: int
) -> None:
    reference = Reference(question(tenant), ReferenceAction.FORWARD)
    composition = Composition(to=(ANYBODY,), text="Now whole", attachments=(NOTE,), reference=reference)
    before = await drafts(session)
    failed: Exception | None = None
    try:
        with graph.interrupted(at, fault):
            await compose(session, composition, MESSAGE_ID)
    except (MailbindError, Killed) as error:
        failed = error

    assert (at < CALLS_OF_FORWARD) == (failed is not None)
    # Only of the call that creates the draft is the outcome unknown: every other draft is known, and deleted.
    assert (at == CREATING and fault in LOST) == isinstance(failed, OutcomeUnknown)
    kept = next(iter(await find_drafts(session, MESSAGE_ID)), None)
    assert kept is None or whole(await shown(session, kept))
    assert (kept is not None) == (failed is None or (fault == "killed" and at == CALLS_OF_FORWARD - 1))
    left = (fault == "killed" and at >= CREATING) or (fault == "lost after" and at == CREATING)
    assert before + (failed is None or left) == await drafts(session)
    if kept:
        await session.call(MailCall(HTTPMethod.DELETE, ("messages", kept.id)))


async def test_a_lost_answer_to_the_only_call_is_recovered(session: MailSession, graph: Interrupted) -> None:
    composition = Composition(to=(ANYBODY,), text="Now whole", attachments=(NOTE,))
    await session.account()
    with graph.interrupted(0, "lost after"):
        draft = await compose(session, composition, MESSAGE_ID)
    assert [draft] == await find_drafts(session, MESSAGE_ID)
    assert whole(await shown(session, draft))

    with graph.interrupted(0, "lost before"), pytest.raises(OutcomeUnknown):
        await compose(session, composition, "<nothing@contoso.example>")
    assert [] == await find_drafts(session, "<nothing@contoso.example>")


async def test_an_older_draft_with_a_chosen_id_is_not_taken(session: MailSession, graph: Interrupted) -> None:
    older = await compose(session, Composition(to=(ANYBODY,), text="Old", message_id=MESSAGE_ID), MESSAGE_ID)
    with pytest.raises(OutcomeUnknown), graph.interrupted(0, "lost before"):
        await compose(session, Composition(to=(ANYBODY,), text="New", message_id=MESSAGE_ID), MESSAGE_ID)
    await session.call(MailCall(HTTPMethod.DELETE, ("messages", older.id)))
