"""Graph's mail: drafts, changes of messages and folders, attachments."""

import base64

import pytest

from tests.local.mail_visitor import MailVisitor, recipient, subjects
from tests.local.tenant_visitor import ALICE

FILE = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentBytes": "aGk="}
MIME = b"From: a@contoso.example\r\nTo: b@fabrikam.example\r\nSubject: In MIME\r\n\r\nHello\r\n"


def test_draft_is_created_in_drafts(sales: MailVisitor) -> None:
    """The body is the example of https://learn.microsoft.com/graph/api/user-post-messages."""
    draft = sales.send(
        "POST",
        "/messages",
        subject="Did you see last night's game?",
        importance="Low",
        body={"contentType": "HTML", "content": "They were <b>awesome</b>!"},
        toRecipients=[{"emailAddress": {"address": "AdeleV@contoso.com"}}],
        attachments=[FILE],
    )

    assert (True, "They were awesome!") == (draft["isDraft"], draft["bodyPreview"])
    assert [recipient("AdeleV@contoso.com")] == draft["toRecipients"]
    assert draft["hasAttachments"]
    assert [draft["id"]] == [one["id"] for one in sales.items("/mailFolders/drafts/messages")]


def test_answer_says_where_the_draft_is(sales: MailVisitor) -> None:
    response = sales.call("POST", "/messages", json={"subject": "x"})

    draft = response.json()
    assert draft == sales.get(response.headers["location"])
    assert response.headers["content-type"].startswith("application/json;odata.metadata=minimal;")


def test_draft_can_be_mime(sales: MailVisitor) -> None:
    response = sales.call("POST", "/messages", {"Content-Type": "text/plain"}, content=base64.b64encode(MIME))

    assert (201, "In MIME") == (response.status_code, response.json()["subject"])
    refused = sales.call("POST", "/messages", {"Content-Type": "text/plain"}, content=MIME)
    assert (400, "ErrorMimeContentInvalidBase64String") == (refused.status_code, refused.json()["error"]["code"])


def test_names_of_properties_count_in_any_case(sales: MailVisitor) -> None:
    draft = sales.send("POST", "/messages", Subject="x", From=recipient("other@contoso.example"))

    assert ("x", "other@contoso.example") == (draft["subject"], draft["from"]["emailAddress"]["address"])


def test_draft_can_be_changed_entirely(sales: MailVisitor) -> None:
    draft = sales.send("POST", "/messages", subject="before")

    changes = {"from": recipient("a@contoso.example"), "replyTo": [recipient("b@contoso.example")], "subject": "after"}
    changed = sales.send("PATCH", f"/messages/{draft['id']}", **changes)

    assert changes == {name: changed[name] for name in changes}
    assert draft["changeKey"] != changed["changeKey"]


def test_of_a_received_message_only_marks_can_be_changed(support: MailVisitor) -> None:
    path = f"/messages/{support.items('/messages?$top=1')[0]['id']}"
    marks = {"isRead": True, "flag": {"flagStatus": "flagged"}, "categories": ["Red"], "importance": "high"}

    changed = support.send("PATCH", path, **marks)

    assert marks == {name: changed[name] for name in marks}
    for name, value in (("subject", "x"), ("from", recipient("x@contoso.example")), ("toRecipients", [])):
        assert (400, "ErrorInvalidPropertySet") == support.refused(path, "PATCH", **{name: value})


def test_if_match_guards_a_change(sales: MailVisitor) -> None:
    draft = sales.send("POST", "/messages", subject="x")
    path = f"/messages/{draft['id']}"

    for etag, status in ((draft["@odata.etag"], 200), (draft["@odata.etag"], 412), ("*", 200)):
        assert status == sales.call("PATCH", path, {"If-Match": etag}, json={"subject": "y"}).status_code


def test_deleted_message_is_in_deleted_items_then_gone(support: MailVisitor) -> None:
    message = support.items("/messages?$top=1")[0]
    assert 204 == support.call("DELETE", f"/messages/{message['id']}").status_code

    (deleted,) = support.items("/mailFolders/deletedItems/messages")
    assert message["subject"] == deleted["subject"]

    assert 204 == support.call("DELETE", f"/messages/{deleted['id']}").status_code
    assert [] == support.items("/mailFolders/deletedItems/messages")
    assert (404, "ErrorItemNotFound") == support.refused(f"/messages/{deleted['id']}", "DELETE")


def test_copy_leaves_the_original(support: MailVisitor) -> None:
    message = support.items("/messages?$top=1")[0]

    copy = support.send("POST", f"/messages/{message['id']}/copy", DestinationId="archive")

    assert (message["subject"], message["internetMessageId"]) == (copy["subject"], copy["internetMessageId"])
    assert message["id"] != copy["id"]
    assert [copy["id"]] == [one["id"] for one in support.items("/mailFolders/archive/messages")]
    assert message["id"] == support.get(f"/messages/{message['id']}")["id"]


def test_attachments_can_be_added_and_deleted(sales: MailVisitor) -> None:
    path = f"/messages/{sales.send('POST', '/messages', subject='x')['id']}"
    added = sales.send("POST", f"{path}/attachments", **FILE)

    assert sales.get(path)["hasAttachments"]
    assert "1" == sales.call("GET", f"{path}/attachments/$count").text
    assert 204 == sales.call("DELETE", f"{path}/attachments/{added['id']}").status_code
    assert not sales.get(path)["hasAttachments"]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "a"},
        {**FILE, "contentBytes": "?"},
        {**FILE, "name": None},
        {"@odata.type": "#microsoft.graph.referenceAttachment", "name": "a"},
    ],
)
def test_attachment_that_cannot_be_read_is_refused(sales: MailVisitor, body: dict[str, object]) -> None:
    path = f"/messages/{sales.send('POST', '/messages', subject='x')['id']}/attachments"

    assert (400, "BadRequest") == sales.refused(path, "POST", **body)
    assert [] == sales.items(path)


def test_upload_session_is_refused_on_shared_mailboxes(sales: MailVisitor) -> None:
    """Known issue 13644."""
    draft = sales.send("POST", "/messages", subject="x")
    path = f"/messages/{draft['id']}/attachments/createUploadSession"

    assert (403, "ErrorAccessDenied") == sales.refused(path, "POST", AttachmentItem={"size": 5_000_000})


@pytest.mark.parametrize(
    "body",
    [
        {"subject": 1},
        {"toRecipients": "a@b.example"},
        {"isRead": "yes"},
        {"from": {}},
        {"body": {"contentType": "xml"}},
        {"importance": "urgent"},
        {"internetMessageId": "<a@b.example>\r\nX-Injected: 1"},
        {"attachments": 1},
        {"singleValueExtendedProperties": [{"id": "Integer 0x0E07", "value": "draft"}]},
    ],
)
def test_property_that_cannot_be_read_is_refused(sales: MailVisitor, body: dict[str, object]) -> None:
    assert (400, "BadRequest") == sales.refused("/messages", "POST", **body)


def test_custom_headers_begin_with_x(sales: MailVisitor) -> None:
    draft = sales.send("POST", "/messages", internetMessageHeaders=[{"name": "x-case", "value": "7"}])
    shown = sales.get(f"/messages/{draft['id']}?$select=internetMessageHeaders")

    assert [{"name": "x-case", "value": "7"}] == shown["internetMessageHeaders"]
    headers = [{"name": "References", "value": "<a@b.example>"}]
    assert (400, "InvalidInternetMessageHeader") == sales.refused("/messages", "POST", internetMessageHeaders=headers)


def test_message_can_be_stored_as_if_it_was_received(sales: MailVisitor) -> None:
    properties = [{"id": "Integer 0x0E07", "value": "1"}, {"id": "SystemTime 0x0E06", "value": "2026-01-02T03:04:05Z"}]

    stored = sales.send("POST", "/mailFolders/inbox/messages", subject="x", singleValueExtendedProperties=properties)

    assert (False, "2026-01-02T03:04:05Z") == (stored["isDraft"], stored["receivedDateTime"])


def test_folders_can_be_created_renamed_moved_and_deleted(sales: MailVisitor) -> None:
    work = sales.send("POST", "/mailFolders", displayName="Work")
    inner = sales.send("POST", f"/mailFolders/{work['id']}/childFolders", displayName="2026")
    sales.send("POST", f"/mailFolders/{inner['id']}/messages", subject="inside")

    assert "2027" == sales.send("PATCH", f"/mailFolders/{inner['id']}", displayName="2027")["displayName"]
    assert (409, "ErrorFolderExists") == sales.refused("/mailFolders", "POST", displayName="work")
    moved = sales.send("POST", f"/mailFolders/{inner['id']}/move", destinationId="archive")
    assert (inner["id"], 1) == (moved["id"], moved["totalItemCount"])
    copied = sales.send("POST", f"/mailFolders/{inner['id']}/copy", DestinationId=work["id"])
    assert ["inside"] == subjects(sales.items(f"/mailFolders/{copied['id']}/messages"))
    for _ in range(2):
        assert 204 == sales.call("DELETE", f"/mailFolders/{work['id']}").status_code
    assert (404, "ErrorItemNotFound") == sales.refused(f"/mailFolders/{copied['id']}")
    assert (403, "ErrorDeleteDistinguishedFolder") == sales.refused("/mailFolders/inbox", "DELETE")


def test_body_that_is_not_json_is_refused(sales: MailVisitor) -> None:
    for content in (b"{", b"[]"):
        response = sales.call("POST", "/messages", {"Content-Type": "application/json"}, content=content)
        assert (400, "BadRequest") == (response.status_code, response.json()["error"]["code"])


def test_own_mailbox_is_below_me(sales: MailVisitor) -> None:
    own = MailVisitor(sales.tenant, sales.token, "/me")
    draft = own.send("POST", "/messages", subject="mine")

    assert subjects([draft]) == subjects(own.items("/mailFolders/drafts/messages"))
    by_address = MailVisitor(sales.tenant, sales.token, f"/users/{ALICE}")
    assert own.get(f"/messages/{draft['id']}") == by_address.get(f"/messages/{draft['id']}")
