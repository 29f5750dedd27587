"""IMAP logins with Python's own client, and the responses to rejected ones."""

import imaplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.local.tenant_visitor import ALICE, MALLORY, LocalTenant

SUPPORT, SALES, BOARD = (f"{name}@contoso.example" for name in ("support", "sales", "board"))
IMAP = "https://outlook.office.com/IMAP.AccessAsUser.All"
FAILED, NOT_CONNECTED = "AUTHENTICATE failed", "User is authenticated but not connected"


@contextmanager
def connected(tenant: LocalTenant, timeout: float = 5) -> Iterator[imaplib.IMAP4_SSL]:
    host, _, port = tenant.ready["imapServer"].rpartition(":")
    context = ssl.create_default_context(cafile=tenant.ready["caFile"])
    with imaplib.IMAP4_SSL(host, int(port), ssl_context=context, timeout=timeout) as client:
        yield client


def inbox(tenant: LocalTenant, user: str, token: str, timeout: float = 5) -> str:
    with connected(tenant, timeout) as client:
        client.authenticate("XOAUTH2", lambda _: f"user={user}\x01auth=Bearer {token}\x01\x01".encode())
        return str(client.select("INBOX", readonly=True)[0])


def test_token_opens_the_mailboxes_of_its_person(tenant: LocalTenant) -> None:
    token = tenant.access_token_of(ALICE, IMAP)

    for address in (SUPPORT, SALES, "sales.team@contoso.example", ALICE):
        assert "OK" == inbox(tenant, address, token)
    with pytest.raises(imaplib.IMAP4.error, match=NOT_CONNECTED):
        inbox(tenant, BOARD, token)
    with pytest.raises(imaplib.IMAP4.error, match=NOT_CONNECTED):
        inbox(tenant, SUPPORT, tenant.access_token_of(MALLORY, IMAP))
    with pytest.raises(imaplib.IMAP4.error, match=FAILED):
        inbox(tenant, "nobody@contoso.example", token)


def test_wrong_or_expired_token_is_refused(tenant: LocalTenant) -> None:
    refresh_token, token = tenant.refresh_token_of(ALICE), tenant.access_token_of(ALICE, IMAP)
    others = {"of Graph": tenant.access_token_of(ALICE), "of nobody": "none"}
    tenant.control("person", upn=ALICE, consented=["https://outlook.office.com/SMTP.Send"])
    sends = tenant.refresh(refresh_token, scope="https://outlook.office.com/SMTP.Send").json()
    others["without the permission"] = sends["access_token"]
    tenant.control("clock", advanceSeconds=301)
    tenant.control("revoke", person=ALICE)
    others["revoked"] = token

    for why, other in others.items():
        with pytest.raises(imaplib.IMAP4.error, match=FAILED):
            pytest.fail(f"{why}: {inbox(tenant, ALICE, other)}")


def test_mailbox_needs_a_login(tenant: LocalTenant) -> None:
    with connected(tenant) as client:
        assert "AUTH=XOAUTH2" in client.capabilities
        assert "OK" == client.noop()[0]
        assert "OK" == client.xatom("ID", "NIL")[0]
        with pytest.raises(imaplib.IMAP4.error, match="LOGIN failed"):
            client.login(ALICE, "password")
        client.state = "AUTH"  # imaplib would not even try
        with pytest.raises(imaplib.IMAP4.error, match="Command Error"):
            client.select("INBOX")


def test_only_folders_that_exist_open(tenant: LocalTenant) -> None:
    token = tenant.access_token_of(ALICE, IMAP)
    with connected(tenant) as client:
        client.authenticate("XOAUTH2", lambda _: f"user={SUPPORT}\x01auth=Bearer {token}\x01\x01".encode())

        assert b'(\\HasNoChildren) "/" INBOX' in client.list()[1]
        assert ("NO", "OK") == (client.select("Elsewhere")[0], client.select("INBOX")[0])

    assert [(SUPPORT, ALICE)] == [(event["mailbox"], event["person"]) for event in tenant.events("imap login")]


def test_server_closes_after_two_rejected_commands(tenant: LocalTenant) -> None:
    token = tenant.access_token_of(MALLORY, IMAP)
    with connected(tenant) as client:
        client.authenticate("XOAUTH2", lambda _: f"user={SUPPORT}\x01auth=Bearer {token}\x01\x01".encode())
        for _ in range(2):
            with pytest.raises(imaplib.IMAP4.error, match=NOT_CONNECTED):
                client.noop()
        assert b"* BYE" == client.readline()[:5]
        client.shutdown()
        client.state = "LOGOUT"  # there is nobody left to say it to


@pytest.mark.parametrize(
    ("action", "body", "error"),
    [
        ("throttle", {"times": 1}, "Request is throttled"),
        ("fail", {"failure": "Unavailable"}, "Server Unavailable"),
        ("outage", {"mode": "503"}, "BYE"),
        ("outage", {"mode": "html"}, "HTTP"),
        ("outage", {"mode": "reset"}, None),
        ("outage", {"mode": "hang"}, "timed out"),
    ],
)
def test_control_makes_logins_fail(
    tenant: LocalTenant, action: str, body: dict[str, object], error: str | None
) -> None:
    token = tenant.access_token_of(ALICE, IMAP)
    tenant.control(action, endpoint="imap", **body)

    with pytest.raises((imaplib.IMAP4.error, OSError), match=error):
        inbox(tenant, SUPPORT, token, timeout=0.5)
    if action == "outage":
        tenant.control("outage", endpoint="imap", mode="none")
    assert "OK" == inbox(tenant, SUPPORT, token)
