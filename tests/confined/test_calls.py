"""Confined calls, once for each kind of success and of refusal, on the real host, storage and tenant."""

import base64
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.confined.conftest import BOARD, SALES, SUPPORT, TwoMailboxes

type NewCaller = Callable[..., httpx.Client]

MESSAGES = f"users/{SUPPORT}/messages"


def draft(caller: httpx.Client, **properties: Any) -> dict[str, Any]:
    """A new draft of the mailbox."""
    message = {"subject": "Your order", "body": {"contentType": "text", "content": "Hello"}, **properties}
    answer = caller.post(MESSAGES, json=message)
    assert 201 == answer.status_code, answer.text
    return dict(answer.json())


def to(address: str) -> list[dict[str, Any]]:
    return [{"emailAddress": {"address": address}}]


def refused(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error in Graph's form."""
    error = answer.json()["error"]
    assert error["message"], error
    assert {"date", "request-id"} <= error["innerError"].keys()
    return answer.status_code, error["code"]


def test_next_links_lead_back_here(mailboxes: TwoMailboxes, caller: httpx.Client) -> None:
    answer, subjects = caller.get(f"users/{SUPPORT}/mailFolders/inbox/messages?$top=4&$select=subject"), []
    for _ in range(10):
        assert 200 == answer.status_code, answer.text
        assert mailboxes.environment.tenant.ready["url"] not in answer.text
        subjects += [message["subject"] for message in answer.json()["value"]]
        following = answer.json().get("@odata.nextLink")
        if following is None:
            break
        assert following.startswith(f"{mailboxes.environment.base_url}/v1.0/users/{SUPPORT}/mailFolders/")
        answer = caller.get(following)
    assert 10 == len(subjects) == len(set(subjects))


def test_delta_link_is_valid_for_one_account(caller: httpx.Client, new_caller: NewCaller) -> None:
    link = f"users/{SUPPORT}/mailFolders/inbox/messages/delta?$select=subject"
    while "@odata.deltaLink" not in (page := caller.get(link).raise_for_status().json()):
        link = page["@odata.nextLink"]
    link = page["@odata.deltaLink"]
    assert [] == caller.get(link).raise_for_status().json()["value"]
    both = new_caller("mail:read", accounts=("support", "sales"))
    assert 200 == both.get(link).status_code
    assert (410, "syncStateNotFound") == refused(both.get(link.replace(SUPPORT, SALES)))


@pytest.mark.parametrize("mailbox", [SUPPORT.upper(), "support", "SUPPORT"])
def test_mailbox_is_named_by_address_or_account(caller: httpx.Client, mailbox: str) -> None:
    assert 200 == caller.get(f"users/{mailbox}/messages?$top=1").status_code
    assert 200 == caller.get(f"users('{mailbox}')/messages?$top=1").status_code


@pytest.mark.parametrize(
    "mailbox", [SALES, BOARD, "sales", "nobody@contoso.example", "nobody", "alice@contoso.example"]
)
def test_another_mailbox_is_not_found_whether_it_is_bound_or_not(caller: httpx.Client, mailbox: str) -> None:
    answer = caller.get(f"users/{mailbox}/messages")
    assert (404, "NotFound") == refused(answer)
    assert caller.get("users/no-such-account/messages").json()["error"]["message"] == answer.json()["error"]["message"]


def test_a_draft_is_written_changed_and_sent_from_the_mailbox(mailboxes: TwoMailboxes, caller: httpx.Client) -> None:
    one = draft(caller, toRecipients=to("customer@fabrikam.example"))
    path = f"{MESSAGES}/{one['id']}"
    assert "webLink" not in one
    assert 200 == caller.patch(path, json={"subject": "Your order 7"}).status_code
    content = base64.b64encode(b"%PDF-1.7").decode()
    attachment = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "order.pdf", "contentBytes": content}
    attached = caller.post(f"{path}/attachments", json=attachment)
    assert 201 == attached.status_code, attached.text
    downloaded = caller.get(f"{path}/attachments/{attached.json()['id']}/$value")
    assert b"%PDF-1.7" == downloaded.content
    assert "application/octet-stream" == downloaded.headers["content-type"].partition(";")[0]
    assert "sandbox" in downloaded.headers["content-security-policy"]
    sent = caller.post(f"{path}/send")
    assert (202, b"") == (sent.status_code, sent.content)
    (mail,) = [mail for mail in mailboxes.tenant.events("mail sent") if "customer@fabrikam.example" in str(mail["to"])]
    assert SUPPORT == mail["from"]
    found = caller.get(f"users/{SUPPORT}/mailFolders/sentitems/messages?$filter=subject eq 'Your order 7'")
    assert 1 == len(found.json()["value"])


def test_a_reply_keeps_its_conversation(caller: httpx.Client) -> None:
    (message,) = caller.get(f"{MESSAGES}?$top=1&$select=id,conversationId").json()["value"]
    reply = caller.post(f"{MESSAGES}/{message['id']}/createReply", json={"Comment": "Thank you"})
    assert 201 == reply.status_code, reply.text
    assert message["conversationId"] == reply.json()["conversationId"]
    assert 204 == caller.delete(f"{MESSAGES}/{reply.json()['id']}").status_code


def test_mime_is_sent_from_the_mailbox(mailboxes: TwoMailboxes, caller: httpx.Client) -> None:
    mime = f"From: {SUPPORT}\r\nTo: mime@fabrikam.example\r\nSubject: As MIME\r\n\r\nHello"
    headers = {"Content-Type": "text/plain"}
    sent = caller.post(f"users/{SUPPORT}/sendMail", content=base64.b64encode(mime.encode()), headers=headers)
    assert 202 == sent.status_code, sent.text
    (mail,) = [mail for mail in mailboxes.tenant.events("mail sent") if "mime@fabrikam.example" in str(mail["to"])]
    assert SUPPORT == mail["from"]
    left = caller.get(f"users/{SUPPORT}/mailFolders/drafts/messages?$filter=subject eq 'As MIME'").json()["value"]
    assert [] == left


def test_another_sender_is_refused_and_nothing_is_sent(mailboxes: TwoMailboxes, caller: httpx.Client) -> None:
    before = len(mailboxes.tenant.events("graph called"))
    message = {"from": {"emailAddress": {"address": SALES}}, "toRecipients": to("a@fabrikam.example")}
    answers = [
        caller.post(f"users/{SUPPORT}/sendMail", json={"Message": message}),
        caller.post(MESSAGES, json=message),
        caller.post(
            f"users/{SUPPORT}/sendMail",
            content=base64.b64encode(f"From: {SALES}\r\n\r\nHello".encode()),
            headers={"Content-Type": "text/plain"},
        ),
    ]
    for answer in answers:
        assert (403, "wrong_sender") == refused(answer)
        assert SUPPORT in answer.json()["error"]["message"]
    assert before == len(mailboxes.tenant.events("graph called"))


@pytest.mark.parametrize(
    ("scopes", "method", "path"),
    [
        (("mail:write", "mail:send"), "GET", MESSAGES),
        (("mail:read", "mail:send"), "POST", MESSAGES),
        (("mail:read", "mail:write"), "POST", f"users/{SUPPORT}/sendMail"),
        (("oauth-token",), "GET", MESSAGES),
    ],
)
def test_every_call_needs_its_scope(new_caller: NewCaller, scopes: tuple[str, ...], method: str, path: str) -> None:
    answer = new_caller(*scopes).request(method, path, json={} if method == "POST" else None)
    assert (403, "Forbidden") == refused(answer)
    assert "insufficient_scope" in answer.headers["www-authenticate"]


def test_a_caller_without_a_token_is_not_let_in(caller: httpx.Client) -> None:
    assert (401, "Unauthorized") == refused(caller.get(MESSAGES, headers={"Authorization": ""}))


def test_outside_the_table_is_refused_with_the_rule(mailboxes: TwoMailboxes, caller: httpx.Client) -> None:
    before = len(mailboxes.tenant.events("graph called"))
    for method, path in (("GET", "me/messages"), ("GET", f"users/{SUPPORT}"), ("PUT", MESSAGES), ("GET", "groups")):
        assert (403, "not_confined") == refused(caller.request(method, path))
    assert "/users/" in caller.get("me/messages").json()["error"]["message"]
    assert before == len(mailboxes.tenant.events("graph called"))


def test_graphs_own_errors_pass(caller: httpx.Client) -> None:
    assert (404, "ErrorItemNotFound") == refused(caller.get(f"{MESSAGES}/AAMkAGnotThere000000000000000000000="))


def test_an_answer_can_be_asked_for_as_graph_allows(caller: httpx.Client) -> None:
    prefer = {"Prefer": 'outlook.body-content-type="text", IdType="ImmutableId"'}
    answer = caller.get(f"{MESSAGES}?$top=1", headers=prefer)
    assert "text" == answer.json()["value"][0]["body"]["contentType"]
    assert caller.get(f"{MESSAGES}/$count").text.isdigit()
