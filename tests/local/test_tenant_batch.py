"""Batches of Graph calls.

https://learn.microsoft.com/graph/json-batching
"""

import base64
from typing import Any

import pytest

from tests.local.mail_visitor import MailVisitor
from tests.local.tenant_visitor import ALICE, LocalTenant

SUPPORT = "/users/support@contoso.example"


def part(number: int, url: str, method: str = "GET", **more: Any) -> dict[str, Any]:
    return {"id": str(number), "method": method, "url": url, **more}


def post(visitor: MailVisitor, *parts: dict[str, Any], **headers: str) -> list[dict[str, Any]]:
    response = visitor.call("POST", f"{visitor.tenant.url}/v1.0/$batch", headers, json={"requests": parts})
    assert 200 == response.status_code, response.text
    return sorted(response.json()["responses"], key=lambda answer: int(answer["id"]))


def test_parts_have_their_own_answers(support: MailVisitor) -> None:
    answers = post(
        support,
        part(1, "/me?$select=displayName"),
        part(2, f"{SUPPORT}/messages/$count"),
        part(3, "/users('board@contoso.example')/mailFolders"),
        part(4, "me/messages", "POST", headers={"Content-Type": "application/json"}, body={"subject": "x"}),
        part(5, f"{SUPPORT}/messages/AAMk"),
    )

    assert [200, 200, 403, 201, 400] == [answer["status"] for answer in answers]
    assert "Alice Archer" == answers[0]["body"]["displayName"]
    assert b"10" == base64.b64decode(answers[1]["body"])
    assert ("ErrorAccessDenied", "x") == (answers[2]["body"]["error"]["code"], answers[3]["body"]["subject"])
    assert "application/json" == answers[0]["headers"]["Content-Type"].partition(";")[0]


def test_part_that_depends_on_a_failure_fails(support: MailVisitor) -> None:
    answers = post(
        support,
        part(1, "/me"),
        part(2, "/me/messages/AAMk", dependsOn=["1"]),
        part(3, "/me", dependsOn=["2"]),
        part(4, "/me", dependsOn=["3"]),
    )

    assert [200, 400, 424, 424] == [answer["status"] for answer in answers]


def test_headers_of_the_batch_are_not_those_of_its_parts(support: MailVisitor) -> None:
    text = 'outlook.body-content-type="text"'
    url = f"{SUPPORT}/messages?$top=1&$select=body"

    plain, preferred = post(support, part(1, url), part(2, url, headers={"prefer": text}), Prefer=text)

    bodies = [answer["body"]["value"][0]["body"] for answer in (plain, preferred)]
    assert ["html", "text"] == [body["contentType"] for body in bodies]
    assert text == preferred["headers"]["Preference-Applied"]


def test_url_may_be_unescaped_or_escaped(support: MailVisitor) -> None:
    """Microsoft's client for .NET sends it unescaped."""
    escaped = "/users/support%40contoso.example/messages?$filter=isRead%20eq%20true&$top=1"
    answers = post(support, part(1, escaped), part(2, f"{SUPPORT}/messages?$filter=isRead eq true&$top=1"))

    assert answers[0]["body"]["value"] == answers[1]["body"]["value"] != []


def test_throttled_part_leaves_the_batch_alone(support: MailVisitor) -> None:
    support.tenant.control("throttle", endpoint="graph", retryAfter=3)

    first, second = post(support, part(1, "/me"), part(2, "/me"))

    assert {(429, "3"), (200, None)} == {(one["status"], one["headers"].get("Retry-After")) for one in (first, second)}


def test_batch_without_permission_fails_as_a_whole(support: MailVisitor) -> None:
    support.tenant.control("fail", endpoint="graph", failure="InvalidAuthenticationToken")

    response = support.call("POST", f"{support.tenant.url}/v1.0/$batch", json={"requests": [part(1, "/me")]})

    assert 401 == response.status_code


@pytest.mark.parametrize(
    "requests",
    [
        [part(number, "/me") for number in range(21)],
        [part(1, "/me"), part(1, "/me")],
        [part(1, "/me", dependsOn=["2"])],
        [{"id": "1"}],
        "none",
    ],
)
def test_malformed_batch_is_refused(support: MailVisitor, requests: object) -> None:
    response = support.call("POST", f"{support.tenant.url}/v1.0/$batch", json={"requests": requests})

    assert (400, "BadRequest") == (response.status_code, response.json()["error"]["code"])


def test_journal_has_the_batch_and_its_parts(support: MailVisitor, tenant: LocalTenant) -> None:
    post(support, part(1, f"{SUPPORT}/messages"), part(2, "/me", headers={"X-Thing": "1"}))

    events = tenant.events("graph called")

    expected = [(f"/v1.0{SUPPORT}/messages", "support@contoso.example"), ("/v1.0/me", None), ("/v1.0/$batch", None)]
    assert expected == [(event["path"], event.get("mailbox")) for event in events]
    assert ["authorization", "x-thing"] == events[1]["headers"]
    assert {ALICE} == {event["person"] for event in events}
