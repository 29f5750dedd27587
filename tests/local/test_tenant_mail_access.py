"""Who may call what on which mailbox, the limit of concurrent calls, and what the journal says of calls."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from tests.local.mail_visitor import MailVisitor
from tests.local.tenant_visitor import ALICE, LocalTenant

SUPPORT, BOARD = "support@contoso.example", "board@contoso.example"
READ, WRITE = ("GET", "/messages"), ("POST", "/messages")
DENIED = (403, "ErrorAccessDenied")


def narrow(tenant: LocalTenant, user: str, *names: str) -> MailVisitor:
    """Alice with a token of these permissions only."""
    refresh_token = tenant.refresh_token_of(ALICE)
    tenant.consent(ALICE, *names)
    scope = " ".join(f"{tenant.url}/{name}" for name in names)
    return MailVisitor(tenant, str(tenant.refresh(refresh_token, scope=scope).json()["access_token"]), user)


@pytest.mark.parametrize(
    ("name", "user", "call", "status"),
    [
        ("Mail.Read", "/me", READ, 200),
        ("Mail.Read", "/me", WRITE, 403),
        ("Mail.Read", f"/users/{SUPPORT}", READ, 403),
        ("Mail.Read.Shared", "/me", READ, 200),
        ("Mail.Read.Shared", f"/users/{SUPPORT}", READ, 200),
        ("Mail.Read.Shared", f"/users/{SUPPORT}", WRITE, 403),
        ("Mail.ReadWrite", f"/users/{SUPPORT}", WRITE, 403),
        ("Mail.ReadWrite.Shared", f"/users/{SUPPORT}", READ, 200),
        ("Mail.ReadWrite.Shared", f"/users/{SUPPORT}", WRITE, 201),
        ("Mail.ReadWrite.Shared", f"/users/{BOARD}", READ, 403),
        ("Mail.Send.Shared", f"/users/{SUPPORT}", READ, 403),
    ],
)
def test_permission_of_a_call(tenant: LocalTenant, name: str, user: str, call: tuple[str, str], status: int) -> None:
    method, path = call

    response = narrow(tenant, user, name).call(method, path, json={"subject": "x"} if method == "POST" else None)

    assert status == response.status_code
    if status == 403:
        assert "ErrorAccessDenied" == response.json()["error"]["code"]


def test_basic_permission_hides_bodies(tenant: LocalTenant) -> None:
    visitor = narrow(tenant, f"/users/{SUPPORT}", "Mail.ReadBasic.Shared")

    (message,) = visitor.items("/messages?$top=1")

    assert "subject" in message
    assert not {"body", "bodyPreview"} & set(message)
    assert DENIED == visitor.refused('/messages?$search="a"')
    assert DENIED == visitor.refused(f"/messages/{message['id']}/$value")
    assert (400, "BadRequest") == visitor.refused("/messages?$expand=attachments")


@pytest.mark.parametrize("path", ["/mailboxSettings", "/mailFolders/inbox/messageRules", "/outlook/masterCategories"])
def test_settings_are_refused_even_with_full_access(tenant: LocalTenant, path: str) -> None:
    visitor = narrow(tenant, f"/users/{SUPPORT}", "Mail.ReadWrite.Shared", "MailboxSettings.Read")

    assert DENIED == visitor.refused(path)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/calendar", (400, "BadRequest")),
        ("GET", "/messages/x/y", (400, "BadRequest")),
        ("DELETE", "", (405, "methodNotAllowed")),
        ("PUT", "/messages", (405, "methodNotAllowed")),
        ("PATCH", "/mailFolders/inbox/messages/delta", (405, "methodNotAllowed")),
    ],
)
def test_unknown_calls_are_refused(support: MailVisitor, method: str, path: str, expected: tuple[int, str]) -> None:
    assert expected == support.refused(path, method)


def test_dot_segments_are_resolved(support: MailVisitor, tenant: LocalTenant) -> None:
    """A client that does not resolve them reaches the other mailbox."""
    part = {"id": "1", "method": "GET", "url": f"/users/{SUPPORT}/../{ALICE}/mailFolders"}
    support.call("POST", f"{tenant.url}/v1.0/$batch", json={"requests": [part]})

    assert ALICE == calls(tenant, "mailbox")[0][0]


def test_large_request_is_refused(sales: MailVisitor) -> None:
    response = sales.call("POST", "/messages", json={"subject": "x" * 4 * 1024 * 1024})

    assert (413, "RequestEntityTooLarge") == (response.status_code, response.json()["error"]["code"])
    assert [] == sales.items("/messages")


def test_fifth_concurrent_call_of_a_mailbox_is_throttled(support: MailVisitor, sales: MailVisitor) -> None:
    support.tenant.control("latency", endpoint="graph", milliseconds=400)
    callers = [support] * 5 + [sales]

    with ThreadPoolExecutor(len(callers)) as pool:
        *answers, other = pool.map(lambda visitor: visitor.call("GET", "/mailFolders/inbox"), callers)

    assert [200, 200, 200, 200, 429] == sorted(answer.status_code for answer in answers)
    (throttled,) = (answer for answer in answers if answer.status_code == 429)
    error = throttled.json()["error"]
    assert ("ApplicationThrottled", "Application is over its MailboxConcurrency limit.") == (
        error["code"],
        error["message"],
    )
    assert int(throttled.headers["retry-after"]) > 0
    assert 200 == other.status_code == support.call("GET", "/mailFolders/inbox").status_code


def test_armed_failure_hits_a_mail_call(support: MailVisitor) -> None:
    support.tenant.control("fail", endpoint="graph", failure="ErrorMailboxMoveInProgress")

    assert (503, "ErrorMailboxMoveInProgress") == support.refused("/messages")
    assert 10 == len(support.items("/messages"))


def calls(tenant: LocalTenant, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(event.get(name) for name in names) for event in tenant.events("graph called")]


def test_journal_names_the_mailbox_that_was_open(support: MailVisitor, tenant: LocalTenant) -> None:
    board = replace(support, user=f"/users/{BOARD}")
    support.items("/messages")
    board.call("GET", "/messages")
    support.call("GET", "/messages/AAMk")
    replace(support, user="/me").items("/mailFolders")
    tenant.graph("/me", support.token)
    replace(support, user="/users/5A000000-0000-4000-8000-000000000011").call("DELETE", "/mailFolders/inbox")

    expected = [
        ("GET", 200, SUPPORT),
        ("GET", 403, None),
        ("GET", 400, SUPPORT),
        ("GET", 200, ALICE),
        ("GET", 200, None),
        ("DELETE", 403, SUPPORT),
    ]
    assert expected == calls(tenant, "method", "status", "mailbox")


def test_journal_has_the_names_of_headers(support: MailVisitor, tenant: LocalTenant) -> None:
    support.call("GET", "/messages", {"Prefer": "x", "X-AnchorMailbox": BOARD})

    ((headers,),) = calls(tenant, "headers")

    assert {"authorization", "host", "prefer", "x-anchormailbox"} <= set(headers)
    assert BOARD not in str(headers)
    assert sorted(headers) == headers
