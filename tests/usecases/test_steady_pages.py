"""Pages of a mailbox that changes while it is read: what stays is on exactly one page."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPMethod
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from infra.local.visitor import Visitor
from shared.bootstrap import build
from shared.domain.caller import Caller, Scope
from shared.domain.mail.message import Message
from shared.domain.mail.search import GraphSearch, translated
from shared.usecases.accounts.change import remove_account
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.mail.list_messages import WantedPage, list_messages
from shared.usecases.mail.session import MailCall, MailSession
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant
from tests.usecases.conftest import SUPPORT, NewPerson, bind

SUBJECT = "Order"
numbers = itertools.count(1)


class Change(NamedTuple):
    """What happens between two pages: a message of a second arrives, or the one with this index goes."""

    kind: str
    which: int


class Reading(NamedTuple):
    """Seconds in which messages arrived before, and what happens after each page."""

    seconds: list[int]
    page_size: int
    changes: list[list[Change]]
    search: bool


SECONDS = st.integers(0, 4)
CHANGES = st.one_of(
    st.builds(Change, st.sampled_from(["arrive", "move in"]), SECONDS),
    st.builds(Change, st.sampled_from(["move", "delete"]), st.integers(0, 30)),
)
READINGS = st.builds(
    Reading,
    st.lists(SECONDS, min_size=1, max_size=20),
    st.integers(1, 6),
    st.lists(st.lists(CHANGES, max_size=4), max_size=8),
    st.booleans(),
)


async def administrator() -> Caller:
    return ADMINISTRATOR


@dataclass
class Mailbox:
    """A bound mailbox, for tests that are not async because hypothesis is not."""

    run: Callable[[Coroutine[Any, Any, Any]], Any]
    session: MailSession
    tenant: Tenant

    def graph(self, method: HTTPMethod, *path: str, **content: Any) -> None:
        self.run(self.session.call(MailCall(method, path, content=content or None)))

    def folder(self) -> tuple[str, str]:
        """A new folder's id and path."""
        name = f"Orders {next(numbers)}"
        self.graph(HTTPMethod.POST, "mailFolders", displayName=name)
        found = self.run(self.session.get("mailFolders", query={"$top": "250", "$select": "id,displayName"}))
        return next(each["id"] for each in found["value"] if each["displayName"] == name), name

    def arrive(self, folder: str, second: int) -> str:
        received = {"receivedDateTime": f"2027-01-31T09:30:{second:02}Z", "subject": SUBJECT}
        return str(self.tenant.do("deliver", mailbox=SUPPORT, folder=folder, message=received)["immutableIds"][0])

    def pages(self, path: str, size: int, search: GraphSearch) -> Iterator[list[Message]]:
        cursor: str | None = None
        while True:
            page = self.run(list_messages(self.session, WantedPage(path, size, cursor=cursor), search))
            yield list(page.messages)
            cursor = page.next_cursor
            if cursor is None:
                return


@pytest.fixture
def mailbox(
    app_values: Mapping[str, str], clock: MovedClock, visitor: Visitor, tenant: Tenant, person: NewPerson
) -> Iterator[Mailbox]:
    with asyncio.Runner() as runner:
        app = build(app_values, clock)
        account = runner.run(bind(app, visitor, person()))
        yield Mailbox(runner.run, MailSession(app, administrator, account, Scope.MAIL_WRITE), tenant)
        runner.run(remove_account(app, account))
        runner.run(app.close())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reading=READINGS)
@example(reading=Reading([0] * 20, 3, [[Change("move", 0), Change("arrive", 0)]] * 6, search=False))
@example(reading=Reading([2, 2, 2, 1, 1, 1], 3, [[Change("delete", 0), Change("arrive", 4)]], search=True))
def test_what_stays_is_on_one_page(mailbox: Mailbox, reading: Reading) -> None:
    folder, path = mailbox.folder()
    stayed = [mailbox.arrive(folder, second) for second in reading.seconds]
    present, shown = list(stayed), list[Message]()
    search = translated({"subject": SUBJECT}) if reading.search else GraphSearch()

    for page, changes in itertools.zip_longest(mailbox.pages(path, reading.page_size, search), reading.changes):
        if page is None:
            break
        shown += page
        for change in changes or ():
            gone = change_mailbox(mailbox, folder, present, change)
            stayed = [each for each in stayed if each != gone]

    counts = Counter(message.id for message in shown)
    assert [1] * len(stayed) == [counts[each] for each in stayed]
    assert set(counts.values()) <= {1}
    times = [message.received for message in shown]
    assert sorted(times, reverse=True) == times


def change_mailbox(mailbox: Mailbox, folder: str, present: list[str], change: Change) -> str | None:
    """Make a change; the id of the message that is no longer in the folder."""
    match change.kind:
        case "arrive":
            present.append(mailbox.arrive(folder, change.which))
        case "move in":
            moved = mailbox.arrive("inbox", change.which)
            mailbox.graph(HTTPMethod.POST, "messages", moved, "move", destinationId=folder)
            present.append(moved)
        case _ if present:
            gone = present.pop(change.which % len(present))
            if change.kind == "move":
                mailbox.graph(HTTPMethod.POST, "messages", gone, "move", destinationId="archive")
            else:
                mailbox.graph(HTTPMethod.DELETE, "messages", gone)
            return gone
    return None


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seconds=st.lists(SECONDS, min_size=1, max_size=15), size=st.integers(1, 6))
@example(seconds=[1] * 10, size=3)
def test_numbered_pages_are_the_same_as_by_cursor(mailbox: Mailbox, seconds: list[int], size: int) -> None:
    folder, path = mailbox.folder()
    for second in seconds:
        mailbox.arrive(folder, second)
    by_cursor = list(mailbox.pages(path, size, GraphSearch()))

    for number in range(len(by_cursor) + 1):
        page = mailbox.run(list_messages(mailbox.session, WantedPage(path, size, number)))
        assert (by_cursor[number] if number < len(by_cursor) else []) == list(page.messages)
        assert (number, len(seconds)) == (page.page, page.total)
        assert (number < len(by_cursor) - 1) == (page.next_cursor is not None)


def test_a_second_may_have_more_messages_than_a_call(mailbox: Mailbox) -> None:
    folder, path = mailbox.folder()
    message = {"receivedDateTime": "2027-01-31T09:30:00Z"}
    ids = mailbox.tenant.do("deliver", mailbox=SUPPORT, folder=folder, message=message, count=1001)["immutableIds"]

    pages = [[message.id for message in page] for page in mailbox.pages(path, 500, GraphSearch())]

    assert [500, 500, 1] == [len(page) for page in pages]
    assert sorted(ids) == sorted(itertools.chain.from_iterable(pages))
