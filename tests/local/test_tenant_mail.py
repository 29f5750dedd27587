"""Graph's mail: folders, messages and attachments, and the query options of their lists."""

import email
from collections.abc import Callable

import pytest

from tests.local.mail_visitor import MailVisitor, subjects
from tests.local.tenant_visitor import LocalTenant

INBOX = "/mailFolders/inbox/messages"
SUPPORT_ID = "5a000000-0000-4000-8000-000000000011"
GRACE, ORDER = "grace.hill@northwind.example", "Order 4711 has not arrived"


def test_folders_are_exchanges(support: MailVisitor) -> None:
    folders = {folder["displayName"]: folder for folder in support.items("/mailFolders?$top=20")}

    expected = {"Archive", "Deleted Items", "Drafts", "Inbox", "Junk Email", "Outbox", "Sent Items"}
    assert expected == set(folders)
    assert folders["Inbox"]["id"] == support.get("/mailFolders/Inbox")["id"]
    assert (10, 0) == (folders["Inbox"]["totalItemCount"], folders["Drafts"]["totalItemCount"])


@pytest.mark.parametrize(
    "path",
    [
        "/users/support@contoso.example/mailFolders/inbox/messages",
        "/users('support@contoso.example')/mailFolders('inbox')/messages",
        f"/users/{SUPPORT_ID}/mailfolders/INBOX/Messages",
        f"/users('{SUPPORT_ID}')/mailFolders/msgfolderroot/childFolders/inbox/messages",
    ],
)
def test_paths_can_be_spelled_in_many_ways(support: MailVisitor, tenant: LocalTenant, path: str) -> None:
    assert support.items(INBOX) == tenant.graph(path, support.token).json()["value"]


def test_pages_have_ten_messages_newest_first(support: MailVisitor) -> None:
    support.deliver(count=3, subject="New")

    first = support.get(INBOX)
    rest = support.get(first["@odata.nextLink"])

    received = [message["receivedDateTime"] for message in [*first["value"], *rest["value"]]]
    assert (10, 3, True) == (len(first["value"]), len(rest["value"]), "@odata.nextLink" not in rest)
    assert sorted(received, reverse=True) == received


def test_links_name_the_object_id_and_keep_the_options(support: MailVisitor, tenant: LocalTenant) -> None:
    page = support.get("/messages?top=4&$select=subject&$count=true")

    start = f"{tenant.url}/v1.0/users('{SUPPORT_ID}')/messages?"
    assert start == page["@odata.nextLink"][: len(start)]
    assert f"{tenant.url}/v1.0/$metadata#users('{SUPPORT_ID}')/messages" == page["@odata.context"]
    assert 10 == page["@odata.count"]
    assert {"@odata.etag", "id", "subject"} == set(support.items(page["@odata.nextLink"])[0])
    assert 4 == len(support.items("/messages?$skip=6"))


def test_message_has_graphs_properties(support: MailVisitor) -> None:
    message = support.items(f"{INBOX}?$filter=subject eq '{ORDER}'")[0]

    assert message == {
        name: value for name, value in support.get(f"/messages/{message['id']}").items() if "context" not in name
    }
    assert (GRACE, True, False) == (message["from"]["emailAddress"]["address"], message["isRead"], message["isDraft"])
    assert f'W/"{message["changeKey"]}"' == message["@odata.etag"]
    assert support.get("/mailFolders/inbox")["id"] == message["parentFolderId"]
    assert message["webLink"].startswith("https://outlook.office365.com/owa/?ItemID=AAMk")
    assert "html" == message["body"]["contentType"]
    assert "we ordered two label printers" in message["bodyPreview"]
    assert "internetMessageHeaders" not in message


def test_body_can_be_text(support: MailVisitor) -> None:
    response = support.call("GET", f"{INBOX}?$top=1", {"Prefer": 'outlook.body-content-type="text"'})

    assert 'outlook.body-content-type="text"' == response.headers["preference-applied"]
    assert "text" == response.json()["value"][0]["body"]["contentType"]


def test_message_is_mime_too(support: MailVisitor) -> None:
    message_id = support.items(f"{INBOX}?$filter=subject eq '{ORDER}'")[0]["id"]

    response = support.call("GET", f"/messages/{message_id}/$value")

    assert "text/plain" == response.headers["content-type"].partition(";")[0]
    assert ORDER == email.message_from_bytes(response.content)["Subject"]


FILTERS: list[tuple[str, Callable[[int], bool]]] = [
    ("subject eq 'two'", lambda number: number == 2),
    ("subject ne 'two' and isRead eq false", lambda number: number == 3),
    ("startswith(subject,'T') and not(subject eq 'three')", lambda number: number == 2),
    ("contains(subject,'o') or isRead eq false", lambda _: True),
    ("from/emailAddress/address eq 'Three@Fabrikam.example'", lambda number: number == 3),
    ("receivedDateTime ge 2026-01-02", lambda number: number >= 2),
    (
        "receivedDateTime gt 2026-01-02T00:00:00Z and receivedDateTime le 2026-01-03T01:00:00%2B01:00",
        lambda number: number == 3,
    ),
    ("categories/any(c:c eq 'Red')", lambda number: number == 1),
    ("hasAttachments eq true", lambda number: number == 1),
    ("flag/flagStatus eq 'flagged'", lambda number: number == 2),
    ("internetMessageId eq '<2@fabrikam.example>'", lambda number: number == 2),
    ("(isRead eq true) and (importance eq 'high' or categories/any(a:a eq 'red'))", lambda number: number <= 2),
]


@pytest.mark.parametrize(("text", "is_found"), FILTERS)
def test_filter(sales: MailVisitor, text: str, is_found: Callable[[int], bool]) -> None:
    words = {1: "one", 2: "two", 3: "three"}
    for number, word in words.items():
        sales.deliver(
            subject=word,
            receivedDateTime=f"2026-01-0{number}T00:00:00Z",
            isRead=number < 3,
            importance="high" if number == 2 else "normal",
            categories=["Red"] if number == 1 else [],
            flag={"flagStatus": "flagged" if number == 2 else "notFlagged"},
            internetMessageId=f"<{number}@fabrikam.example>",
            attachments=[FILE] if number == 1 else [],
            author=f"{word}@fabrikam.example",
        )

    expected = [word for number, word in words.items() if is_found(number)]
    assert expected == subjects(sales.items(f"/messages?$filter={text}"))[::-1]
    assert len(expected) == int(sales.call("GET", f"/messages/$count?$filter={text}").text)


FILE = {
    "@odata.type": "#microsoft.graph.fileAttachment",
    "name": "a.txt",
    "contentType": "text/plain",
    "contentBytes": "aGk=",
}


def test_conversation_can_be_filtered(support: MailVisitor) -> None:
    conversation = support.items(f"{INBOX}?$filter=subject eq '{ORDER}'")[0]["conversationId"]

    found = support.items(f"/messages?$filter=conversationId eq '{conversation}'")

    assert {ORDER, f"RE: {ORDER}"} == set(subjects(found))


def test_order(sales: MailVisitor) -> None:
    for subject in ("b", "C", "a"):
        sales.deliver(subject=subject)

    assert ["a", "b", "C"] == subjects(sales.items("/messages?$orderby=subject"))
    assert ["C", "b", "a"] == subjects(sales.items("/messages?$filter=subject ne 'x'&$orderBy=subject desc"))


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("$filter=isRead eq false&$orderby=receivedDateTime desc", "InefficientFilter"),
        ("$filter=isRead eq false and receivedDateTime ge 2020-01-01&$orderby=receivedDateTime", "InefficientFilter"),
        ("$filter=toRecipients/any(i:i/emailAddress/address eq 'sample@abc.com')", "ErrorInvalidUrlQueryFilter"),
        ("$filter=endswith(subject, 'FooBar')", "ErrorInvalidUrlQueryFilter"),
        ("$filter=id eq 'AAMk='", "ErrorInvalidUrlQueryFilter"),
        ("$filter=subject eq", "BadRequest"),
        ("$filter=(subject eq 'a'", "BadRequest"),
        ('$search="a"&$orderby=receivedDateTime desc', "SearchWithOrderBy"),
        ('$search="a"&$filter=isRead eq false', "SearchWithFilter"),
        ('$search="a"&$skip=10', "SearchWithSkip"),
        ('$search="a"&$count=true', "SearchWithCount"),
        ('$search="colour:red"', "BadRequest"),
        ('$search="size:large"', "BadRequest"),
        ("$top=1001", "BadRequest"),
        ("$top=0", "BadRequest"),
        ("$skip=x", "BadRequest"),
        ("$select=colour", "BadRequest"),
        ("$expand=colour", "BadRequest"),
        ("$apply=aggregate", "BadRequest"),
        ("$top=1&top=2", "BadRequest"),
    ],
)
def test_query_that_graph_refuses(support: MailVisitor, options: str, code: str) -> None:
    assert (400, code) == support.refused(f"/messages?{options}")


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ('"parcel"', {ORDER, f"RE: {ORDER}"}),
        ("parcel bakery", {f"RE: {ORDER}"}),
        ('"from:grace subject:\\"order 4711\\""', {ORDER, f"RE: {ORDER}"}),
        ('"from:grace NOT bakery"', {ORDER}),
        ('"bakery OR subject:\\"new rolls\\""', {f"RE: {ORDER}", "Thank you, the new rolls fit"}),
        ('"to:nobody@contoso.example"', set()),
        ('"participants:grace received>=2020-01-01"', {ORDER, f"RE: {ORDER}"}),
        ('"from:grace received<2020-01-01"', set()),
        ('"hasAttachments:true from:grace"', set()),
    ],
)
def test_search(support: MailVisitor, search: str, expected: set[str]) -> None:
    assert expected == set(subjects(support.items(f"/messages?$search={search}")))


def test_search_pages_by_token(support: MailVisitor) -> None:
    page = support.get('/messages?$search="to:support@contoso.example"&$top=6')

    assert "$skiptoken=" in page["@odata.nextLink"]
    assert 10 == len({one["id"] for one in [*page["value"], *support.items(page["@odata.nextLink"])]})


def test_attachments_can_be_read(sales: MailVisitor) -> None:
    inline = FILE | {"name": "logo.png", "contentId": "logo", "isInline": True}
    item = {"@odata.type": "#microsoft.graph.itemAttachment", "name": "Old", "item": {"subject": "Inside"}}
    (message_id,) = sales.deliver(subject="x", attachments=[FILE, inline, item])
    path = f"/messages/{message_id}/attachments"

    file, logo, old = sales.items(path)

    assert ("a.txt", "text/plain", 2, False, "aGk=") == tuple(
        file[name] for name in ("name", "contentType", "size", "isInline", "contentBytes")
    )
    assert ("logo", True) == (logo["contentId"], logo["isInline"])
    assert b"hi" == sales.call("GET", f"{path}/{file['id']}/$value").content
    assert b"Subject: Inside" in sales.call("GET", f"{path}/{old['id']}/$value").content
    expanded = sales.get(f"{path}/{old['id']}?$expand=microsoft.graph.itemattachment/item")
    assert ("#microsoft.graph.itemAttachment", "Inside") == (old["@odata.type"], expanded["item"]["subject"])


def test_attachments_can_be_expanded(sales: MailVisitor) -> None:
    sales.deliver(subject="x", attachments=[FILE | {"contentId": "c"}])
    select = "id,name,microsoft.graph.fileAttachment/contentId"

    (message,) = sales.items(f"/messages?$select=subject&$expand=attachments($select={select})")

    expected = {"@odata.type", "@odata.mediaContentType", "id", "name", "contentId"}
    assert expected == set(message["attachments"][0])


def test_extended_properties_come_only_when_expanded(sales: MailVisitor) -> None:
    held, other = "String {00020329-0000-0000-C000-000000000046} Name Case", "Integer 0x1234"
    sales.send("POST", "/messages", subject="x", singleValueExtendedProperties=[{"id": held, "value": "17"}])

    (plain,) = sales.items("/messages")
    (expanded,) = sales.items(
        f"/messages?$expand=singleValueExtendedProperties($filter=id eq '{held}' or id eq '{other}')"
    )

    assert "singleValueExtendedProperties" not in plain
    assert [{"id": held, "value": "17"}] == expanded["singleValueExtendedProperties"]


@pytest.mark.parametrize(
    ("query", "expected"), [("size:1000..1200", ["b"]), ("size>=1000", ["c", "b"]), ("size<1000", ["a"])]
)
def test_sizes_are_searched_in_bytes(support: MailVisitor, query: str, expected: list[str]) -> None:
    for subject, size in (("a", 900), ("b", 1200), ("c", 5000)):
        support.deliver(subject=f"{subject} sized", body={"contentType": "text", "content": "x" * size})

    assert sorted(expected) == sorted(
        one[0] for one in subjects(support.items(f'/messages?$search="subject:sized {query}"'))
    )


def test_hidden_folders_are_listed_if_asked_for(support: MailVisitor) -> None:
    support.send("POST", "/mailFolders", displayName="Behind", isHidden=True)

    assert "Behind" not in {one["displayName"] for one in support.items("/mailFolders?$top=100")}
    listed = support.items("/mailFolders?$top=100&includeHiddenFolders=true")
    assert [True] == [one["isHidden"] for one in listed if one["displayName"] == "Behind"]
