"""Folders by their paths, searches as the tenant answers them, and cursors that lead nowhere else."""

import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from http import HTTPMethod
from typing import Any

import pytest

from infra.local.visitor import Visitor
from shared.api.mail.message_fields import listed_message
from shared.domain.caller import Caller, Scope
from shared.domain.errors import InvalidInput, NotFound
from shared.domain.formats import parse_timestamp
from shared.domain.mail.folders import Folder, SpecialUse
from shared.domain.mail.search import GraphSearch, translated
from shared.ports import App
from shared.usecases.accounts.change import remove_account
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.mail.folders import list_folders, resolve_folder
from shared.usecases.mail.list_messages import WantedPage, list_messages
from shared.usecases.mail.session import MailCall, MailSession
from tests.journey.conftest import Tenant
from tests.usecases.conftest import SUPPORT, NewPerson, bind

numbers = itertools.count(1)
ANN = {"emailAddress": {"name": "Ann Onym", "address": "ann@fabrikam.example"}}
BO = {"emailAddress": {"name": "Bo", "address": "bo@fabrikam.example"}}
CY = {"emailAddress": {"name": "Cy", "address": "cy@fabrikam.example"}}
FILE = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentBytes": "YWFh" * 500}
WANTED = {
    "subject": "It's the invoice",
    "from": ANN,
    "toRecipients": [BO],
    "ccRecipients": [CY],
    "body": {"contentType": "text", "content": "Please pay the amount"},
    "receivedDateTime": "2027-01-31T09:30:00Z",
    "internetMessageId": "<wanted@fabrikam.example>",
    "flag": {"flagStatus": "flagged"},
    "attachments": [FILE],
}
OTHER = {
    "subject": "Lunch",
    "from": BO,
    "toRecipients": [ANN],
    "body": {"contentType": "text", "content": "Noon"},
    "receivedDateTime": "2027-01-30T09:30:00Z",
    "isRead": True,
}
BETWEEN = parse_timestamp("2027-01-31T00:00:00Z")


async def administrator() -> Caller:
    return ADMINISTRATOR


@pytest.fixture
async def session(app: App, visitor: Visitor, person: NewPerson) -> AsyncIterator[MailSession]:
    account = await bind(app, visitor, person())
    yield MailSession(app, administrator, account, Scope.MAIL_WRITE)
    await remove_account(app, account)


async def new_folder(session: MailSession, name: str, *parents: str, **more: Any) -> str:
    """The id of a new folder in another one."""
    path = ("mailFolders", parents[-1], "childFolders") if parents else ("mailFolders",)
    made = await session.call(MailCall(HTTPMethod.POST, path, content={"displayName": name, **more}))
    return str((await session.get("mailFolders", made.headers["location"].split("'")[-2]))["id"])


def deliver(tenant: Tenant, folder: str, message: dict[str, Any], count: int = 1) -> list[str]:
    made = tenant.do("deliver", mailbox=SUPPORT, folder=folder, message=message, count=count)
    return list(made["immutableIds"])


async def subjects(session: MailSession, path: str, search: GraphSearch) -> list[str]:
    return [each.subject for each in (await list_messages(session, WantedPage(path, 20), search)).messages]


async def test_folders_are_listed_in_emailengines_order(session: MailSession, tenant: Tenant) -> None:
    outer = await new_folder(session, "Zoo 100%/Bär")
    inner = await new_folder(session, "Inner", outer)
    await new_folder(session, "Secret", inner, isHidden=True)
    deliver(tenant, inner, OTHER)
    deliver(tenant, inner, WANTED)
    folders = {each.path: each for each in await list_folders(session)}
    path = "Zoo 100%25%2FBär"

    assert ["\\All", "Inbox"] == list(folders)[:2]
    special = [each.special_use for each in folders.values()]
    assert {*SpecialUse} - {SpecialUse.ALL, SpecialUse.INBOX} == set(special[2:7])
    assert [None] * (len(special) - 7) == special[7:]
    others = [each.path.casefold() for each in folders.values() if each.special_use is None]
    assert sorted(others) == others
    assert Folder(inner, f"{path}/Inner", "Inner", None, path, messages=2, unseen=1) == folders[f"{path}/Inner"]
    assert folders[f"{path}/Inner/Secret"].is_hidden
    assert folders["\\All"].messages == sum(each.messages for name, each in folders.items() if name != "\\All")
    assert inner == (await resolve_folder(session, f"{path}/INNER")).id


async def test_a_mailbox_has_more_folders_than_a_page(session: MailSession) -> None:
    outer = await new_folder(session, f"Many {next(numbers)}")
    names = [f"Folder {number:03}" for number in range(260)]
    for name in names:
        await new_folder(session, name, outer)

    assert names == [each.name for each in await list_folders(session) if each.name in set(names)]


@pytest.mark.parametrize("path", ["INBOX", "inbox", "\\Inbox", "\\inbox", "Inbox"])
async def test_the_inbox_has_many_names(session: MailSession, path: str) -> None:
    inbox = await session.get("mailFolders", "inbox")
    sub = await new_folder(session, f"Sub {next(numbers)}", inbox["id"])
    below = await session.get("mailFolders", sub)

    assert inbox["id"] == (await resolve_folder(session, path)).id
    if not path.startswith("\\"):
        assert sub == (await resolve_folder(session, f"{path}/{below['displayName']}")).id


@pytest.mark.parametrize("path", ["Nowhere", "Inbox/Nowhere", "Inbox/", "/", "\\Nowhere"])
async def test_folders_that_do_not_exist_are_not_found(session: MailSession, path: str) -> None:
    with pytest.raises(NotFound):
        await resolve_folder(session, path)


async def test_an_empty_path_is_refused_by_name(session: MailSession) -> None:
    with pytest.raises(InvalidInput) as refused:
        await resolve_folder(session, "")
    assert ["path"] == list(refused.value.fields)


@pytest.mark.parametrize(
    "search",
    [
        {"from": "ann@fabrikam.example"},
        {"from": "Onym"},
        {"subject": "'s the inv"},
        {"unseen": True},
        {"flagged": True},
        {"hasAttachments": True},
        {"since": BETWEEN},
        {"header": "<wanted@fabrikam.example>"},
        {"to": "bo@fabrikam.example"},
        {"cc": "Cy"},
        {"body": "the amount"},
        {"larger": 1000},
        {"to": "bo", "from": "ann", "subject": "invoice", "since": BETWEEN, "hasAttachments": True},
        {"unseen": True, "from": "Ann Onym", "subject": "invoice", "since": BETWEEN, "hasAttachments": True},
    ],
)
async def test_searches_find_what_matches(session: MailSession, tenant: Tenant, search: dict[str, Any]) -> None:
    path = f"Searched {next(numbers)}"
    folder = await new_folder(session, path)
    deliver(tenant, folder, OTHER)
    (wanted,) = deliver(tenant, folder, WANTED)
    await session.call(MailCall(HTTPMethod.PATCH, ("messages", wanted), content={"flag": {"flagStatus": "flagged"}}))

    assert [WANTED["subject"]] == await subjects(session, path, translated(search))
    if not translated(search).search and not search.keys() & {"unseen", "flagged", "header"}:
        phrase = {**search, "subject": "invoice"} if "subject" in search else search
        assert [WANTED["subject"]] == await subjects(session, path, translated(phrase, prefer_search=True))


@pytest.mark.parametrize(
    "search", [{"unseen": False}, {"flagged": False}, {"hasAttachments": False}, {"before": BETWEEN}, {"smaller": 100}]
)
async def test_searches_leave_out_the_rest(session: MailSession, tenant: Tenant, search: dict[str, Any]) -> None:
    path = f"Searched {next(numbers)}"
    folder = await new_folder(session, path)
    deliver(tenant, folder, OTHER)
    (wanted,) = deliver(tenant, folder, WANTED)
    await session.call(MailCall(HTTPMethod.PATCH, ("messages", wanted), content={"flag": {"flagStatus": "flagged"}}))

    assert ["Lunch"] == await subjects(session, path, translated(search))


async def test_threads_and_ids_are_found(session: MailSession, tenant: Tenant) -> None:
    path = f"Searched {next(numbers)}"
    folder = await new_folder(session, path)
    ids = [*deliver(tenant, folder, WANTED), *deliver(tenant, folder, OTHER)]
    (elsewhere,) = deliver(tenant, "inbox", OTHER)
    thread = (await session.get("messages", ids[1]))["conversationId"]

    assert ["Lunch"] == await subjects(session, path, translated({"threadId": thread}))
    by_id = translated({"emailIds": [elsewhere, ids[1], "AAkALgAnobody", ids[0]]})
    assert ["Lunch", WANTED["subject"]] == await subjects(session, path, by_id)
    assert ["Lunch", "Lunch", WANTED["subject"]] == await subjects(session, "\\All", by_id)


async def test_all_mail_says_where_each_message_is(session: MailSession, tenant: Tenant) -> None:
    number = next(numbers)
    inner = await new_folder(session, "Inner", await new_folder(session, f"A/B {number}"))
    (message,) = deliver(tenant, inner, {"receivedDateTime": "2031-01-31T09:30:00Z"})
    page = await list_messages(session, WantedPage("\\All", 1))

    (first,) = page.messages
    assert message == first.id
    assert f"A%2FB {number}/Inner" == listed_message(first, page.paths[first.folder_id]).path


async def test_pages_of_a_search_lead_on_by_cursor_only(session: MailSession, tenant: Tenant) -> None:
    path = f"Searched {next(numbers)}"
    ids = deliver(tenant, await new_folder(session, path), WANTED, count=5)
    search, found, cursor = translated({"to": "bo"}), list[str](), None
    for number in range(3):
        page = await list_messages(session, WantedPage(path, 2, cursor=cursor), search)
        assert (number, None) == (page.page, page.total)
        found, cursor = [*found, *(each.id for each in page.messages)], page.next_cursor

    assert cursor is None
    assert sorted(ids) == sorted(found)
    with pytest.raises(InvalidInput) as refused:
        await list_messages(session, WantedPage(path, 2, page=1), search)
    assert ["page"] == list(refused.value.fields)


async def test_a_cursor_leads_on_in_its_own_list_only(
    session: MailSession, app: App, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    path, other_path = f"Here {next(numbers)}", f"There {next(numbers)}"
    deliver(tenant, await new_folder(session, path), OTHER, count=3)
    deliver(tenant, await new_folder(session, other_path), OTHER, count=3)
    cursor = (await list_messages(session, WantedPage(path, 1))).next_cursor
    assert cursor is not None
    here = WantedPage(path, 1, cursor=cursor)
    other_account = await bind(app, visitor, person())
    elsewhere = MailSession(app, administrator, other_account, Scope.MAIL_READ)
    middle = len(cursor) // 2
    changed = cursor[:middle] + ("A" if cursor[middle] != "A" else "B") + cursor[middle + 1 :]

    assert 1 == (await list_messages(session, here)).page
    for one, wanted, search in (
        (session, replace(here, path=other_path), GraphSearch()),
        (session, replace(here, path="\\All"), GraphSearch()),
        (session, here, translated({"subject": "Lunch"})),
        (session, here, translated({"to": "ann"})),
        (elsewhere, here, GraphSearch()),
        (session, replace(here, cursor=changed), GraphSearch()),
        (session, replace(here, cursor=cursor[:-4]), GraphSearch()),
        (session, replace(here, cursor="ms_eyJwYWdlIjoxfQ"), GraphSearch()),
    ):
        with pytest.raises(InvalidInput) as refused:
            await list_messages(one, wanted, search)
        assert ["cursor"] == list(refused.value.fields)
    await remove_account(app, other_account)
