"""Replies and forwards, sent at once or created as drafts."""

from typing import Any

import httpx
import pytest

from tests.local.tenant_visitor import ALICE, BOB, MALLORY, LocalTenant
from tests.local.test_tenant_send import (
    CUSTOMER,
    SALES,
    SUPPORT,
    error_of,
    messages_in,
    mime,
    people,
    post,
    scope_of,
    sent_of,
    token_of,
)

HANAKO, ZOE, JUERGEN = (
    "hanako.sato@treyresearch.example",
    "zoe.martinez@adventure-works.example",
    "juergen.gross@fabrikam.example",
)


def found(tenant: LocalTenant, author: str) -> dict[str, Any]:
    """The newest message of the inbox from this address, with its headers."""
    message = next(one for one in messages_in(tenant, "inbox") if author == one["from"]["emailAddress"]["address"])
    return whole(tenant, message["id"])


def whole(tenant: LocalTenant, message_id: str) -> dict[str, Any]:
    path = f"/users/{SUPPORT}/messages/{message_id}"
    token = token_of(tenant, ALICE)
    headers = tenant.graph(f"{path}?$select=internetMessageHeaders&$expand=attachments", token).json()
    return {**tenant.graph(path, token).json(), **headers}


def act(tenant: LocalTenant, message: dict[str, Any], action: str, **content: Any) -> httpx.Response:
    return post(tenant, f"/users/{SUPPORT}/messages/{message['id']}/{action}", **content)


def draft_of(tenant: LocalTenant, message: dict[str, Any], action: str, **content: Any) -> dict[str, Any]:
    response = act(tenant, message, action, **content)
    assert 201 == response.status_code, response.text
    return whole(tenant, response.json()["id"])


def addresses(recipients: list[dict[str, Any]]) -> list[str]:
    return [recipient["emailAddress"]["address"] for recipient in recipients]


def headers_of(message: dict[str, Any]) -> dict[str, str]:
    return {header["name"]: header["value"] for header in message["internetMessageHeaders"]}


@pytest.mark.parametrize(
    ("action", "to", "cc"),
    [("createReply", [HANAKO], []), ("createReplyAll", [HANAKO], [SALES]), ("createForward", [], [])],
)
@pytest.mark.parametrize("content", [{}, {"json": {}}])
def test_draft_goes_to_the_right_people(
    tenant: LocalTenant, action: str, to: list[str], cc: list[str], content: dict[str, Any]
) -> None:
    original = found(tenant, HANAKO)
    draft = draft_of(tenant, original, action, **content)

    assert (to, cc, []) == tuple(addresses(draft[name]) for name in ("toRecipients", "ccRecipients", "bccRecipients"))
    assert (True, True) == (draft["isDraft"], draft["isRead"])
    prefix = "FW" if action == "createForward" else "RE"
    assert f"{prefix}: {original['subject']}" == draft["subject"]
    assert [draft["id"]] == [one["id"] for one in messages_in(tenant, "drafts")]
    assert ("html", True) == (draft["body"]["contentType"], "注文番号 4820" in draft["body"]["content"])


def test_reply_continues_its_conversation(tenant: LocalTenant) -> None:
    original = found(tenant, CUSTOMER)  # itself a reply
    draft = draft_of(tenant, original, "createReply", json={"comment": "On <its>\nway"})

    assert original["conversationId"] == draft["conversationId"]
    assert original["conversationIndex"] != draft["conversationIndex"]
    assert "RE: Order 4711 has not arrived" == draft["subject"]
    assert "FW: Order 4711 has not arrived" == draft_of(tenant, original, "createForward")["subject"]
    assert {
        "In-Reply-To": "<order-4711-neighbour@northwind.example>",
        "References": "<order-4711@northwind.example> <order-4711-neighbour@northwind.example>",
    } == headers_of(draft)
    assert "<div>On &lt;its&gt;<br>\nway</div>" in draft["body"]["content"]


@pytest.mark.parametrize(("action", "name"), [("reply", "comment"), ("replyAll", "Comment")])
def test_reply_is_sent_from_the_mailbox(tenant: LocalTenant, action: str, name: str) -> None:
    response = act(tenant, found(tenant, CUSTOMER), action, json={name: "Please keep it."})

    assert (202, b"") == (response.status_code, response.content)
    assert [(SUPPORT, [CUSTOMER], True)] == [(sent["from"], sent["to"], sent["saved"]) for sent in sent_of(tenant)]
    (copy,) = messages_in(tenant, "sentitems")
    assert ("RE: Order 4711 has not arrived", True) == (copy["subject"], "Please keep it." in copy["body"]["content"])
    content = tenant.graph(f"/users/{SUPPORT}/messages/{copy['id']}/$value", token_of(tenant, ALICE)).text
    assert "In-Reply-To: <order-4711-neighbour@northwind.example>" in content


def test_forward_carries_the_attachments(tenant: LocalTenant) -> None:
    original = found(tenant, JUERGEN)
    response = act(tenant, original, "forward", json={"Comment": "For you", "ToRecipients": people(BOB)})

    assert 202 == response.status_code
    (received,) = messages_in(tenant, "inbox", BOB, BOB)
    assert (f"FW: {original['subject']}", True) == (received["subject"], received["hasAttachments"])
    (copy,) = messages_in(tenant, "sentitems")
    assert ["Rechnung 2031.pdf"] == [one["name"] for one in whole(tenant, copy["id"])["attachments"]]


def test_reply_carries_inline_attachments_only(tenant: LocalTenant) -> None:
    assert [] == draft_of(tenant, found(tenant, JUERGEN), "createReply")["attachments"]
    assert ["lamp.png"] == [one["name"] for one in draft_of(tenant, found(tenant, ZOE), "createReply")["attachments"]]


def test_reply_goes_to_reply_to(tenant: LocalTenant) -> None:
    draft = post(
        tenant,
        f"/users/{SUPPORT}/messages",
        json={"subject": "Hi", "toRecipients": people(MALLORY, SALES), "replyTo": people(BOB)},
    ).json()
    act(tenant, draft, "send")
    received = messages_in(tenant, "inbox", MALLORY, MALLORY)[0]

    def reply(action: str) -> list[str]:
        response = post(tenant, f"/users/{MALLORY}/messages/{received['id']}/{action}", MALLORY)
        return addresses(response.json()["toRecipients"])

    assert ([BOB], [BOB, SALES]) == (reply("createReply"), reply("createReplyAll"))


def test_properties_of_the_message_replace_those_of_the_reply(tenant: LocalTenant) -> None:
    message = {
        "toRecipients": people(BOB),
        "ccRecipients": people(MALLORY),
        "importance": "high",
        "body": {"contentType": "HTML", "content": "<p>Only this</p>"},
        "internetMessageHeaders": [{"name": "x-order", "value": "4711"}],
        "attachments": [{"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentBytes": "SGk="}],
    }
    draft = draft_of(tenant, found(tenant, CUSTOMER), "createReply", json={"Message": message})

    assert ([BOB], [MALLORY], "high", "<p>Only this</p>") == (
        addresses(draft["toRecipients"]),
        addresses(draft["ccRecipients"]),
        draft["importance"],
        draft["body"]["content"],
    )
    assert {"In-Reply-To", "References", "x-order"} == set(headers_of(draft))
    assert ["a.txt"] == [one["name"] for one in draft["attachments"]]


@pytest.mark.parametrize(
    ("action", "body", "expected"),
    [
        ("reply", {"comment": "a", "message": {"body": {"content": "b"}}}, "body"),
        ("createForward", {"toRecipients": people(BOB), "message": {"toRecipients": people(BOB)}}, "toRecipients"),
        ("forward", {"comment": "a"}, "toRecipients"),
        ("forward", {"toRecipients": []}, "toRecipients"),
    ],
)
def test_contradictory_parameters_are_refused(
    tenant: LocalTenant, action: str, body: dict[str, Any], expected: str
) -> None:
    response = act(tenant, found(tenant, CUSTOMER), action, json=body)

    assert (400, "BadRequest") == error_of(response)
    assert expected in response.json()["error"]["message"]
    assert ([], []) == (sent_of(tenant), messages_in(tenant, "drafts"))


def test_from_of_a_reply_needs_a_permission(tenant: LocalTenant) -> None:
    original = found(tenant, CUSTOMER)
    refused = act(tenant, original, "reply", json={"message": {"from": people("board@contoso.example")[0]}})

    assert (403, "ErrorSendAsDenied") == error_of(refused)
    assert 202 == act(tenant, original, "reply", json={"message": {"from": people(SALES)[0]}}).status_code
    assert [(SALES, SUPPORT)] == [(sent["from"], sent["mailbox"]) for sent in sent_of(tenant)]


def test_reply_in_mime_keeps_the_recipients(tenant: LocalTenant) -> None:
    content, headers = mime("Subject: RE: yes", "X-Order: 4711"), {"Content-Type": "text/plain"}
    response = act(tenant, found(tenant, CUSTOMER), "reply", content=content, headers=headers)

    assert 202 == response.status_code
    assert [(ALICE, [CUSTOMER])] == [(sent["from"], sent["to"]) for sent in sent_of(tenant)]
    assert "RE: yes" == messages_in(tenant, "sentitems")[0]["subject"]


@pytest.mark.parametrize(
    ("scope", "action", "expected"),
    [
        ("Mail.Send.Shared", "createReply", 403),
        ("Mail.Send.Shared", "reply", 202),
        ("Mail.ReadWrite.Shared", "createReply", 201),
        ("Mail.ReadWrite.Shared", "reply", 403),
    ],
)
def test_creating_is_writing_and_replying_is_sending(
    tenant: LocalTenant, scope: str, action: str, expected: int
) -> None:
    original = found(tenant, CUSTOMER)
    refresh_token = tenant.refresh_token_of(ALICE)
    tenant.consent(ALICE, scope)
    token = tenant.refresh(refresh_token, scope=scope_of(tenant, scope)).json()["access_token"]
    url = f"{tenant.url}/v1.0/users/{SUPPORT}/messages/{original['id']}/{action}"

    assert expected == tenant.http.post(url, headers={"Authorization": f"Bearer {token}"}).status_code
