"""Sending: who a message is from, whom it reaches, and where its copy is kept."""

import base64
from typing import Any

import httpx
import pytest

from tests.local.tenant_visitor import ALICE, BOB, MALLORY, LocalTenant

SUPPORT, SALES, BILLING, BOARD = (f"{name}@contoso.example" for name in ("support", "sales", "billing", "board"))
CUSTOMER = "grace.hill@northwind.example"
IMMUTABLE = {"Prefer": 'IdType="ImmutableId"'}


def scope_of(tenant: LocalTenant, *names: str) -> str:
    return " ".join(f"{tenant.url}/{name}" for name in names)


def token_of(tenant: LocalTenant, person: str) -> str:
    return tenant.access_token_of(person, scope_of(tenant, "Mail.ReadWrite.Shared", "Mail.Send.Shared", "Mail.Send"))


def post(tenant: LocalTenant, path: str, person: str = ALICE, **content: Any) -> httpx.Response:
    """Call Graph as a person; `content` is what httpx takes."""
    headers = {"Authorization": f"Bearer {token_of(tenant, person)}", **content.pop("headers", {})}
    return tenant.http.post(f"{tenant.url}/v1.0{path}", headers=headers, **content)


def messages_in(tenant: LocalTenant, folder: str, user: str = SUPPORT, person: str = ALICE) -> list[dict[str, Any]]:
    """The messages of a folder, newest first."""
    path = f"/users/{user}/mailFolders/{folder}/messages"
    return list(tenant.graph(path, token_of(tenant, person)).json()["value"])


def sent_of(tenant: LocalTenant) -> list[dict[str, Any]]:
    """What the journal says of sent mail, without its own fields."""
    return [{k: v for k, v in one.items() if k not in {"n", "at", "what"}} for one in tenant.events("mail sent")]


def people(*addresses: str) -> list[dict[str, Any]]:
    return [{"emailAddress": {"address": address}} for address in addresses]


def a_message(*to: str, **properties: Any) -> dict[str, Any]:
    body = {"contentType": "Text", "content": "Where is it?"}
    return {"subject": "Order 4711", "body": body, "toRecipients": people(*(to or (CUSTOMER,))), **properties}


def addresses_of(message: dict[str, Any]) -> tuple[str, str]:
    return message["sender"]["emailAddress"]["address"], message["from"]["emailAddress"]["address"]


def error_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


@pytest.mark.parametrize(
    ("person", "path", "author", "sender"),
    [
        (ALICE, f"/users/{SUPPORT}", SUPPORT, SUPPORT),
        (BOB, f"/users/{SUPPORT}", SUPPORT, BOB),
        (ALICE, "/me", ALICE, ALICE),
        (ALICE, f"/users/{ALICE}", ALICE, ALICE),
    ],
)
def test_mail_is_from_the_mailbox_of_the_path(
    tenant: LocalTenant, person: str, path: str, author: str, sender: str
) -> None:
    response = post(tenant, f"{path}/sendMail", person, json={"message": a_message(CUSTOMER, MALLORY)})

    assert (202, b"") == (response.status_code, response.content)
    sent = {
        "from": author,
        "sender": sender,
        "to": [CUSTOMER, MALLORY],
        "saved": True,
        "mailbox": author,
        "person": person,
    }
    assert [sent] == sent_of(tenant)
    (copy,) = messages_in(tenant, "sentitems", author, person)
    assert (sender, author) == addresses_of(copy)
    assert ("Order 4711", False, True) == (copy["subject"], copy["isDraft"], copy["isRead"])
    (received,) = messages_in(tenant, "inbox", MALLORY, MALLORY)
    assert (sender, author) == addresses_of(received)


@pytest.mark.parametrize(
    ("person", "path", "author", "expected"),
    [
        (ALICE, "/me", SUPPORT, (SUPPORT, SUPPORT)),
        (BOB, "/me", SUPPORT, (BOB, SUPPORT)),
        (ALICE, f"/users/{SUPPORT}", SALES, (SALES, SALES)),
        (ALICE, f"/users/{SUPPORT}", ALICE.upper(), (ALICE, ALICE)),
        (ALICE, "/me", BILLING, (403, "ErrorSendAsDenied")),
        (BOB, f"/users/{SUPPORT}", SALES, (403, "ErrorSendAsDenied")),
        (ALICE, "/me", "somebody@elsewhere.example", (403, "ErrorSendAsDenied")),
        (ALICE, f"/users/{BILLING}", BILLING, (403, "ErrorSendAsDenied")),
        (MALLORY, f"/users/{SUPPORT}", MALLORY, (403, "ErrorAccessDenied")),
    ],
)
def test_from_needs_a_permission_to_send(
    tenant: LocalTenant, person: str, path: str, author: str, expected: tuple[Any, str]
) -> None:
    message = a_message(BOARD, **{"from": people(author)[0], "sender": people(BOARD)[0]})
    response = post(tenant, f"{path}/sendMail", person, json={"message": message})

    if response.status_code != 202:
        assert (expected, []) == (error_of(response), sent_of(tenant))
        return
    assert expected == tuple(sent_of(tenant)[0][name] for name in ("sender", "from"))
    user = person if path == "/me" else SUPPORT
    assert expected == addresses_of(messages_in(tenant, "sentitems", user, person)[0])


def test_path_of_a_mailbox_needs_full_access_too(tenant: LocalTenant) -> None:
    tenant.control("access", person=MALLORY, mailbox=SUPPORT, sendAs=True)

    refused = post(tenant, f"/users/{SUPPORT}/sendMail", MALLORY, json={"message": a_message()})
    assert ((403, "ErrorAccessDenied"), []) == (error_of(refused), sent_of(tenant))
    message = a_message(**{"from": people(SUPPORT)[0]})
    assert 202 == post(tenant, "/me/sendMail", MALLORY, json={"message": message}).status_code
    assert [(SUPPORT, SUPPORT)] == [addresses_of(copy) for copy in messages_in(tenant, "sentitems", MALLORY, MALLORY)]
    assert [] == messages_in(tenant, "sentitems")


def test_batch_sends_each_part(tenant: LocalTenant) -> None:
    parts = [
        {
            "id": author,
            "method": "POST",
            "url": f"/users/{SUPPORT}/sendMail",
            "headers": {"Content-Type": "application/json"},
            "body": {"Message": a_message(From={"EmailAddress": {"Address": author}})},
        }
        for author in (SUPPORT, SALES, BOARD)
    ]
    answered = post(tenant, "/$batch", json={"requests": parts}).json()["responses"]

    assert {SUPPORT: 202, SALES: 202, BOARD: 403} == {part["id"]: part["status"] for part in answered}
    assert {SUPPORT, SALES} == {sent["from"] for sent in sent_of(tenant)}


def test_refusal_has_microsofts_text(tenant: LocalTenant) -> None:
    message = a_message(**{"from": people(BOARD)[0]})

    assert (
        "The user account which was used to submit this request does not have the right to send mail on behalf of the"
        " specified sending account. Cannot submit message."
    ) == post(tenant, "/me/sendMail", json={"message": message}).json()["error"]["message"]


@pytest.mark.parametrize("save", [False, "false", "False"])
@pytest.mark.parametrize(
    ("message_name", "save_name"), [("message", "saveToSentItems"), ("Message", "SaveToSentItems")]
)
def test_copy_can_be_left_out(tenant: LocalTenant, message_name: str, save_name: str, save: object) -> None:
    post(tenant, f"/users/{SUPPORT}/sendMail", json={message_name: a_message(), save_name: save})

    assert [False] == [sent["saved"] for sent in sent_of(tenant)]
    assert [] == messages_in(tenant, "sentitems")


def test_mail_arrives_unread_without_bcc(tenant: LocalTenant) -> None:
    headers = [{"name": "x-order", "value": "4711"}]
    attachment = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentBytes": "SGk="}
    message = a_message(
        ccRecipients=people(BOB),
        bccRecipients=people(MALLORY),
        importance="high",
        internetMessageHeaders=headers,
        attachments=[attachment],
    )
    post(tenant, f"/users/{SUPPORT}/sendMail", json={"message": message})

    (copy,) = messages_in(tenant, "sentitems")
    assert people(MALLORY)[0]["emailAddress"]["address"] == copy["bccRecipients"][0]["emailAddress"]["address"]
    for person in (BOB, MALLORY):
        (received,) = messages_in(tenant, "inbox", person, person)
        assert ([], False, "high", True) == tuple(
            received[name] for name in ("bccRecipients", "isRead", "importance", "hasAttachments")
        )
        assert copy["internetMessageId"] == received["internetMessageId"]
        assert copy["id"] != received["id"]
    path = f"/users/{BOB}/messages/{messages_in(tenant, 'inbox', BOB, BOB)[0]['id']}"
    shown = tenant.graph(f"{path}?$select=internetMessageHeaders", token_of(tenant, BOB)).json()
    assert headers == shown["internetMessageHeaders"]


def test_mailbox_can_write_to_itself(tenant: LocalTenant) -> None:
    post(tenant, f"/users/{SUPPORT}/sendMail", json={"message": a_message(SUPPORT, SUPPORT.upper())})

    assert "Order 4711" == messages_in(tenant, "inbox")[0]["subject"]
    assert 11 == tenant.graph(f"/users/{SUPPORT}/mailFolders/inbox", token_of(tenant, ALICE)).json()["totalItemCount"]


@pytest.mark.parametrize("content", [{}, {"json": {}}, {"headers": {"Content-Type": "application/json"}}])
def test_draft_is_sent_and_found_by_its_immutable_id(tenant: LocalTenant, content: dict[str, Any]) -> None:
    draft = post(tenant, f"/users/{SUPPORT}/messages", json=a_message(MALLORY), headers=IMMUTABLE).json()
    path = f"/users/{SUPPORT}/messages/{draft['id']}"
    response = post(tenant, f"{path}/send", **content)

    assert (True, 202, b"") == (draft["isDraft"], response.status_code, response.content)
    sent = tenant.graph(path, token_of(tenant, ALICE), **IMMUTABLE).json()
    assert (draft["id"], draft["internetMessageId"], False) == tuple(
        sent[name] for name in ("id", "internetMessageId", "isDraft")
    )
    assert [sent["parentFolderId"]] == [copy["parentFolderId"] for copy in messages_in(tenant, "sentitems")]
    assert [] == messages_in(tenant, "drafts")
    assert (400, "ErrorInvalidRequest") == error_of(post(tenant, f"{path}/send"))
    assert 1 == len(sent_of(tenant))


def test_from_of_a_draft_is_judged_when_it_is_sent(tenant: LocalTenant) -> None:
    draft = post(tenant, f"/users/{SUPPORT}/messages", json=a_message()).json()
    path = f"/users/{SUPPORT}/messages/{draft['id']}"
    authorization = {"Authorization": f"Bearer {token_of(tenant, ALICE)}"}
    patched = tenant.http.patch(f"{tenant.url}/v1.0{path}", headers=authorization, json={"from": people(BOARD)[0]})

    assert BOARD == patched.json()["from"]["emailAddress"]["address"]
    assert (403, "ErrorSendAsDenied") == error_of(post(tenant, f"{path}/send"))
    assert ([], 1) == (sent_of(tenant), len(messages_in(tenant, "drafts")))
    tenant.control("access", person=ALICE, mailbox=BOARD, sendAs=True)
    assert 202 == post(tenant, f"{path}/send").status_code
    assert [BOARD] == [sent["from"] for sent in sent_of(tenant)]


def mime(*headers: str) -> bytes:
    return base64.b64encode("\r\n".join([*headers, "", "Where is it?"]).encode())


def test_mime_is_sent_as_the_person(tenant: LocalTenant) -> None:
    content = mime(
        f"From: {BOARD}",
        f"To: Grace <{CUSTOMER}>",
        "Bcc: mallory@contoso.example",
        "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=",
    )
    response = post(tenant, f"/users/{SUPPORT}/sendMail", content=content, headers={"Content-Type": "text/plain"})

    assert 202 == response.status_code
    assert [(ALICE, ALICE, [CUSTOMER, MALLORY], SUPPORT)] == [
        tuple(sent[name] for name in ("from", "sender", "to", "mailbox")) for sent in sent_of(tenant)
    ]
    (copy,) = messages_in(tenant, "sentitems")
    assert ((ALICE, ALICE), "Grüße") == (addresses_of(copy), copy["subject"])
    content = tenant.graph(f"/users/{SUPPORT}/messages/{copy['id']}/$value", token_of(tenant, ALICE)).content
    assert b"alice@contoso.example" in content
    assert b"board@contoso.example" not in content


def test_mime_draft_keeps_its_from(tenant: LocalTenant) -> None:
    headers = {"Content-Type": "text/plain"}
    content = mime(f"From: {SALES}", f"To: {CUSTOMER}", "Subject: Hi")
    draft = post(tenant, f"/users/{SUPPORT}/messages", content=content, headers=headers).json()

    assert SALES == draft["from"]["emailAddress"]["address"]
    assert 202 == post(tenant, f"/users/{SUPPORT}/messages/{draft['id']}/send").status_code
    assert [(SALES, SUPPORT)] == [(sent["from"], sent["mailbox"]) for sent in sent_of(tenant)]


@pytest.mark.parametrize(
    ("message", "code", "text"),
    [
        ({"toRecipients": []}, "ErrorInvalidRecipients", "contains no recipients"),
        ({"toRecipients": people("a@x.example; b@x.example")}, "ErrorInvalidRecipients", "is not resolved"),
        ({"internetMessageHeaders": [{"name": "In-Reply-To", "value": "<1@x>"}]}, "InvalidInternetMessageHeader", "x-"),
        (
            {"internetMessageHeaders": [{"name": f"x-{n}", "value": "1"} for n in range(6)]},
            "InvalidInternetMessageHeaderCollection",
            "5",
        ),
    ],
)
def test_bad_messages_are_refused(tenant: LocalTenant, message: dict[str, Any], code: str, text: str) -> None:
    response = post(tenant, f"/users/{SUPPORT}/sendMail", json={"message": {**a_message(), **message}})

    assert (400, code) == error_of(response)
    assert text in response.json()["error"]["message"]
    assert ([], []) == (sent_of(tenant), messages_in(tenant, "sentitems"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"json": {}}, (400, "BadRequest")),
        ({"json": {"message": "hello"}}, (400, "BadRequest")),
        ({"content": b"{"}, (400, "BadRequest")),
        ({"content": b"%%", "headers": {"Content-Type": "text/plain"}}, (400, "ErrorMimeContentInvalidBase64String")),
        ({"content": b" " * (4 * 1024 * 1024 + 1)}, (413, "RequestEntityTooLarge")),
    ],
)
def test_bad_requests_are_refused(tenant: LocalTenant, content: dict[str, Any], expected: tuple[int, str]) -> None:
    assert expected == error_of(post(tenant, f"/users/{SUPPORT}/sendMail", **content))
    assert [] == sent_of(tenant)


@pytest.mark.parametrize(
    ("scopes", "path", "author", "expected"),
    [
        (["Mail.Send"], "/me", None, 202),
        (["Mail.Send"], f"/users/{SUPPORT}", None, 403),
        (["Mail.Send"], "/me", SUPPORT, 403),
        (["Mail.Send.Shared"], f"/users/{SUPPORT}", None, 202),
        (["Mail.ReadWrite.Shared"], f"/users/{SUPPORT}", None, 403),
    ],
)
def test_sending_needs_its_scope(
    tenant: LocalTenant, scopes: list[str], path: str, author: str | None, expected: int
) -> None:
    refresh_token = tenant.refresh_token_of(ALICE)
    tenant.consent(ALICE, *scopes)
    token = tenant.refresh(refresh_token, scope=scope_of(tenant, *scopes)).json()["access_token"]
    message = a_message(**({"from": people(author)[0]} if author else {}))
    response = tenant.http.post(
        f"{tenant.url}/v1.0{path}/sendMail", headers={"Authorization": f"Bearer {token}"}, json={"message": message}
    )

    assert expected == response.status_code
