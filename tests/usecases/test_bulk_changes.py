"""Changing, moving and deleting many messages of a mailbox at the local tenant."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from http import HTTPMethod

import pytest

from infra.local.visitor import Visitor
from shared.domain.caller import Caller, Scope
from shared.domain.clouds import Cloud
from shared.domain.errors import Forbidden, Unavailable
from shared.domain.mail.changes import MessageChange, SetChange
from shared.domain.mail.folders import ALL
from shared.domain.mail.refused import ChangeUnknown
from shared.domain.mail.search import GraphSearch, translated
from shared.domain.secret import Secret
from shared.ports import App
from shared.ports.mail import GraphAnswer, GraphCall
from shared.usecases.accounts.change import remove_account
from shared.usecases.mail import selection
from shared.usecases.mail.answers import decoded
from shared.usecases.mail.bulk_changes import Target, change_messages, delete_messages, move_messages
from shared.usecases.mail.change import change_message, delete_for_good, move_message
from shared.usecases.mail.folders import resolve_folder
from shared.usecases.mail.session import MailCall, MailSession
from tests.journey.conftest import Tenant
from tests.usecases.conftest import SUPPORT, NewPerson, bind, numbers

WRITER = Caller("token:writer", "writer", frozenset({Scope.MAIL_WRITE}))
READER = Caller("token:reader", "reader", frozenset({Scope.MAIL_READ}))
READ = MessageChange(SetChange(add=("\\Seen",)), SetChange())
EVERYTHING = translated({})


@dataclass
class Identities:
    """Says who calls, and does something at some of these moments, by their number."""

    caller: Caller = WRITER
    at: dict[int, Callable[[], Awaitable[object]]] = field(default_factory=dict)
    count: int = 0

    async def __call__(self) -> Caller:
        self.count += 1
        if action := self.at.get(self.count):
            await action()
        return self.caller


@dataclass(frozen=True)
class Mailbox:
    """A bound mailbox, with a folder of its own."""

    app: App
    tenant: Tenant
    account: str
    folder: str

    def session(self, identify: Identities | None = None, app: App | None = None) -> MailSession:
        return MailSession(app or self.app, identify or Identities(), self.account, Scope.MAIL_WRITE)

    def deliver(self, count: int) -> list[str]:
        """The ids of new messages in the folder."""
        message = {"subject": "one of many", "isRead": False}
        body = {"mailbox": SUPPORT, "message": message, "folder": self.folder, "count": count}
        return list(self.tenant.do("deliver", **body)["immutableIds"])

    def statuses(self) -> Counter[int]:
        """How Graph answered the calls on messages."""
        return Counter(each["status"] for each in self.tenant.events("graph called") if "/messages" in each["path"])

    @property
    def everything(self) -> Target:
        return Target(f"bulk {self.account}", EVERYTHING)

    async def selected(self) -> list[str]:
        """The ids of all messages, in the order in which they are changed."""
        folder = await resolve_folder(self.session(), self.everything.path)
        now = asyncio.get_running_loop().time()
        return list((await selection.select_messages(self.session(), folder, EVERYTHING, READ.is_done, now)).ids)

    async def found(self, path: str | None = None) -> set[str]:
        folder = await resolve_folder(self.session(), path) if path else None
        query = {"$select": "id", "$top": "1000"}
        listed = await self.session().get("mailFolders", folder.id if folder else self.folder, "messages", query=query)
        return {each["id"] for each in listed["value"]}


@pytest.fixture
async def mailbox(app: App, visitor: Visitor, tenant: Tenant, person: NewPerson) -> AsyncIterator[Mailbox]:
    account = await bind(app, visitor, person(), account=f"bulk-{next(numbers)}")
    session = MailSession(app, Identities(), account, Scope.MAIL_WRITE)
    made = await session.call(MailCall(HTTPMethod.POST, ("mailFolders",), content={"displayName": f"bulk {account}"}))
    yield Mailbox(app, tenant, account, decoded(made.body)["id"])
    await remove_account(app, account)


async def test_a_change_goes_on_beyond_a_thousand(mailbox: Mailbox) -> None:
    ids = mailbox.deliver(1200)
    last = (await mailbox.selected())[-1]

    async def throttle() -> None:
        await asyncio.to_thread(mailbox.tenant.do, "throttle", endpoint="graph", times=3, retryAfter=1)

    async def remove_one() -> None:
        await delete_for_good(mailbox.session(), last)

    identify = Identities(at={300: throttle, 900: remove_one})
    result = await change_messages(mailbox.session(identify), mailbox.everything, READ)

    assert (1199, 0, 0) == (len(result.outcome.done), len(result.outcome.not_tried), result.selection.unchanged)
    assert {last: "NotFound"} == {each: failure.code for each, failure in result.outcome.failed.items()}
    assert {*ids} - {last} == {*result.outcome.done}
    # No call was refused because too many were in progress.
    assert 3 == mailbox.statuses()[429]

    again = await change_messages(mailbox.session(), mailbox.everything, READ)
    assert (1199, ()) == (again.selection.unchanged, again.outcome.done)


async def test_others_are_served_while_many_are_changed(mailbox: Mailbox) -> None:
    mailbox.deliver(200)
    mailbox.tenant.do("latency", endpoint="graph", milliseconds=40)
    running = asyncio.create_task(change_messages(mailbox.session(), mailbox.everything, READ))
    reader = MailSession(mailbox.app, Identities(READER), mailbox.account, Scope.MAIL_READ)
    time, durations = asyncio.get_running_loop().time, list[float]()
    await asyncio.sleep(0.5)
    for _ in range(10):
        began = time()
        await reader.get("mailFolders", "inbox", query={"$select": "id"})
        durations.append(time() - began)

    assert not running.done()
    # Its own 40 ms, and at most the rest of one of the four calls before it.
    assert max(durations) < 0.5
    assert 200 == len((await running).outcome.done)


async def test_a_caller_who_loses_the_right_stops_there(mailbox: Mailbox) -> None:
    ids = mailbox.deliver(60)
    identify = Identities()

    async def revoke() -> None:
        identify.caller = READER

    identify.at = {80: revoke}
    result = await change_messages(mailbox.session(identify), mailbox.everything, READ)

    assert isinstance(result.outcome.reason, Forbidden)
    assert {*ids} == {*result.outcome.done} | {*result.outcome.not_tried}
    assert result.outcome.done
    assert result.outcome.not_tried
    unread = {"$filter": "isRead eq false", "$select": "id", "$top": "100"}
    left = await mailbox.session().get("mailFolders", mailbox.folder, "messages", query=unread)
    assert {each["id"] for each in left["value"]} == {*result.outcome.not_tried}


async def test_a_request_that_found_too_many_continues(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = mailbox.deliver(8)
    monkeypatch.setattr(selection, "MAX_MESSAGES", 5)
    monkeypatch.setattr(selection, "MESSAGES_PER_PAGE", 3)

    first = await change_messages(mailbox.session(), mailbox.everything, READ)
    assert (5, False) == (len(first.outcome.done), first.selection.is_complete)
    second = await change_messages(mailbox.session(), mailbox.everything, READ)
    assert (5, True) == (second.selection.unchanged, second.selection.is_complete)
    assert {*ids} == {*first.outcome.done, *second.outcome.done}


async def test_results_of_the_search_index_are_changed(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = mailbox.deliver(5)
    in_index = Target(mailbox.everything.path, translated({"subject": "one of many"}, prefer_search=True))
    result = await change_messages(mailbox.session(), in_index, READ)
    assert ({*ids}, True) == ({*result.outcome.done}, result.selection.is_complete)

    monkeypatch.setattr(selection, "MAX_SEARCHED", 2)
    gone, _ = await delete_messages(mailbox.session(), in_index, force=True)
    assert {*ids} == {*gone.outcome.done}
    # Exchange may have found more than it gives.
    assert not gone.selection.is_complete


async def test_messages_move_and_a_repeated_request_finds_none(mailbox: Mailbox) -> None:
    ids = mailbox.deliver(8)
    archive = await resolve_folder(mailbox.session(), "\\Archive")

    result = await move_messages(mailbox.session(), mailbox.everything, archive)
    assert {*ids} == {*result.outcome.done} <= await mailbox.found("\\Archive")
    again = await move_messages(mailbox.session(), mailbox.everything, archive)
    assert ((), 0) == (again.outcome.done, again.selection.unchanged)
    by_id = await move_messages(mailbox.session(), Target(ALL.path, GraphSearch(ids=(*ids, "AAAA"))), archive)
    assert ({*ids}, {"AAAA"}) == ({*by_id.outcome.done}, {*by_id.outcome.failed})


async def test_repeated_deleting_stops_at_deleted_items(mailbox: Mailbox) -> None:
    ids = mailbox.deliver(3)
    for _ in range(2):
        everywhere = Target(ALL.path, translated({"subject": "one of many"}))
        result, trash = await delete_messages(mailbox.session(), everywhere, force=False)
        assert trash is not None
        assert {*ids} <= await mailbox.found("\\Trash")
    assert not {*ids} & {*result.outcome.done}

    result, trash = await delete_messages(mailbox.session(), Target("\\Trash", EVERYTHING), force=False)
    assert trash is None
    assert {*ids} <= {*result.outcome.done}
    assert not await mailbox.found("\\Trash")


async def test_force_deletes_only_what_was_found(mailbox: Mailbox) -> None:
    ids = mailbox.deliver(4)
    result, trash = await delete_messages(mailbox.session(), mailbox.everything, force=True)

    assert (None, {*ids}) == (trash, {*result.outcome.done})
    assert not {*ids} & (await mailbox.found() | await mailbox.found("\\Trash"))


async def test_lost_answers_say_whether_to_try_again(mailbox: Mailbox) -> None:
    (message_id,) = mailbox.deliver(1)
    archive = await resolve_folder(mailbox.session(), "\\Archive")
    mailbox.tenant.do("outage", endpoint="graph", mode="reset")

    with pytest.raises(Unavailable, match="Try again"):
        await move_message(mailbox.session(), message_id, archive)
    with pytest.raises(ChangeUnknown, match="is not found then"):
        await delete_for_good(mailbox.session(), message_id)


@dataclass(frozen=True)
class CallsBetween:
    """Makes another call before the first one that is conditional."""

    app: App
    between: Callable[[], Awaitable[object]]
    conditional: list[GraphCall] = field(default_factory=list)

    async def __call__(self, cloud: Cloud, token: Secret, call: GraphCall, max_bytes: int) -> GraphAnswer:
        if "If-Match" in call.headers:
            self.conditional.append(call)
            if len(self.conditional) == 1:
                await self.between()
        return await self.app.graph_mail(cloud, token, call, max_bytes)

    async def close(self) -> None:
        """The app closes its own."""


async def test_labels_of_others_survive(mailbox: Mailbox) -> None:
    (message_id,) = mailbox.deliver(1)

    async def add_blue() -> None:
        await change_message(mailbox.session(), message_id, MessageChange(SetChange(), SetChange(set=("Blue",))))

    calls = CallsBetween(mailbox.app, add_blue)
    red = MessageChange(SetChange(), SetChange(add=("Red",)))
    message = await change_message(mailbox.session(app=replace(mailbox.app, graph_mail=calls)), message_id, red)

    assert (("Blue", "Red"), 2) == (message.categories, len(calls.conditional))


async def test_labels_added_at_once_are_all_there(mailbox: Mailbox) -> None:
    (message_id,) = mailbox.deliver(1)
    labels = ("Red", "Green", "Blue", "Orange")
    changes = [MessageChange(SetChange(), SetChange(add=(label,))) for label in labels]
    await asyncio.gather(*(change_message(mailbox.session(), message_id, change) for change in changes))

    message = await change_message(mailbox.session(), message_id, READ)
    assert {*labels} == {*message.categories}
