"""Ids of mail items: one mailbox each, case-sensitive, and immutable if the client wants it."""

import re

import pytest

from tests.local.mail_visitor import MailVisitor
from tests.local.tenant_visitor import LocalTenant

IMMUTABLE = 'IdType="ImmutableId"'
SALES_ID = "5a000000-0000-4000-8000-000000000012"


def test_ids_look_like_exchanges(support: MailVisitor) -> None:
    for message in support.items("/messages"):
        assert re.fullmatch(r"AAMk[A-Za-z0-9_=-]{130,150}", message["id"])


def test_moved_message_has_a_new_id_unless_it_is_immutable(support: MailVisitor) -> None:
    old = support.items("/messages?$top=1")[0]["id"]
    immutable = support.get(f"/messages/{old}", prefer=IMMUTABLE)["id"]

    moved = support.send("POST", f"/messages/{old}/move", destinationId="archive")

    assert old != moved["id"]
    assert (404, "ErrorItemNotFound") == support.refused(f"/messages/{old}")
    again = support.get(f"/messages/{immutable}", prefer=IMMUTABLE)
    assert (immutable, moved["parentFolderId"]) == (again["id"], again["parentFolderId"])


@pytest.mark.parametrize("kind", ["message", "immutable", "folder", "destination", "attachment"])
def test_id_of_another_mailbox_is_refused(support: MailVisitor, sales: MailVisitor, kind: str) -> None:
    (own,) = sales.deliver(subject="x")
    foreign = support.items("/messages?$filter=hasAttachments eq true&$top=1&$expand=attachments($select=id)")[0]
    immutable = support.get(f"/messages/{foreign['id']}", prefer=IMMUTABLE)["id"]
    folder = support.get("/mailFolders/inbox")["id"]
    calls = {
        "message": ("GET", f"/messages/{foreign['id']}", None),
        "immutable": ("PATCH", f"/messages/{immutable}", {"isRead": True}),
        "folder": ("GET", f"/mailFolders/{folder}/messages", None),
        "destination": ("POST", f"/messages/{own}/move", {"destinationId": folder}),
        "attachment": ("GET", f"/messages/{own}/attachments/{foreign['attachments'][0]['id']}", None),
    }
    method, path, body = calls[kind]

    response = sales.call(method, path, json=body)

    error = response.json()["error"]
    assert (404, "ErrorInvalidMailboxItemId") == (response.status_code, error["code"])
    assert error["message"].endswith(f"doesn't belong to the targeted mailbox '{SALES_ID}'.")


def test_ids_are_case_sensitive(support: MailVisitor) -> None:
    message_id = support.items("/messages?$top=1")[0]["id"]
    start, rest = message_id[:40], message_id[40:]

    assert (404, "ErrorItemNotFound") == support.refused(f"/messages/{start}{rest.swapcase()}")


@pytest.mark.parametrize("message_id", ["1", "AAMk", "AAMkA(x)", "not-an-id-of-exchange-although-it-is-long-enough"])
def test_malformed_id_is_refused(support: MailVisitor, message_id: str) -> None:
    assert (400, "ErrorInvalidIdMalformed") == support.refused(f"/messages/{message_id}")


def test_message_is_not_found_in_another_folder(support: MailVisitor) -> None:
    message_id = support.items("/messages?$top=1")[0]["id"]

    assert message_id == support.get(f"/mailFolders/inbox/messages/{message_id}")["id"]
    assert (404, "ErrorItemNotFound") == support.refused(f"/mailFolders/drafts/messages/{message_id}")


def test_ids_of_folders_do_not_change(support: MailVisitor, tenant: LocalTenant) -> None:
    inbox = support.get("/mailFolders/inbox", prefer=IMMUTABLE)["id"]
    tenant.control("reset")

    assert "AAMkA5a000000000040008000000000000011AAAAAAEMAAA=" == inbox == support.get("/mailFolders/inbox")["id"]
