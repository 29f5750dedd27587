"""Mail over IMAP with Python's own client: folders, SEARCH, FETCH and STORE."""

import email
import email.policy
import imaplib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from typing import Any, cast

import pytest

from tests.local.tenant_visitor import ALICE, LocalTenant
from tests.local.test_tenant_imap import IMAP, SUPPORT, connected
from tests.local.test_tenant_send import a_message, messages_in, post

SEEN, UNSEEN = [1, 2, 3, 4, 5, 6], [7, 8, 9, 10]


@pytest.fixture
def client(tenant: LocalTenant) -> Iterator[imaplib.IMAP4_SSL]:
    """Logged in to support@ as Alice, with the inbox selected."""
    with opened(tenant, SUPPORT) as logged_in:
        assert (b"10",) == tuple(logged_in.select()[1])
        yield logged_in


@contextmanager
def opened(tenant: LocalTenant, address: str) -> Iterator[imaplib.IMAP4_SSL]:
    token = tenant.access_token_of(ALICE, IMAP)
    with connected(tenant) as logged_in:
        logged_in.authenticate("XOAUTH2", lambda _: f"user={address}\x01auth=Bearer {token}\x01\x01".encode())
        yield logged_in


def numbers(answer: tuple[str, list[Any]]) -> list[int]:
    assert "OK" == answer[0]
    return [int(number) for number in answer[1][0].split()]


def flags_of(client: imaplib.IMAP4_SSL, number: int) -> list[str]:
    return sorted(flag.decode() for flag in imaplib.ParseFlags(items_of(client, number, "FLAGS")))


def items_of(client: imaplib.IMAP4_SSL, number: int, items: str) -> bytes:
    """A response without literals."""
    answer = client.fetch(str(number), f"({items})")[1][0]
    assert isinstance(answer, bytes)
    return answer


def content_of(client: imaplib.IMAP4_SSL, number: int, items: str) -> tuple[bytes, bytes]:
    """A response with a literal: what is before it, and the literal."""
    answer = client.fetch(str(number), f"({items})")[1][0]
    assert isinstance(answer, tuple)
    return answer


def parsed(content: bytes) -> EmailMessage:
    return email.message_from_bytes(content, policy=email.policy.default)


def test_select_shows_the_state_of_the_folder(client: imaplib.IMAP4_SSL) -> None:
    assert ([b"10"], [b"0"]) == (client.response("EXISTS")[1], client.response("RECENT")[1])
    client.select("INBOX", readonly=True)
    assert ([b"7"], [b"()"]) == (client.response("UNSEEN")[1], client.response("PERMANENTFLAGS")[1])
    uid_next = int(client.response("UIDNEXT")[1][0])
    assert uid_next > numbers(client.uid("SEARCH", "ALL"))[-1]
    client.select('"Sent Items"')
    assert [b"0"] == client.response("EXISTS")[1]


FOUND = {
    ("ALL",): SEEN + UNSEEN,
    ("UNSEEN",): UNSEEN,
    ("(SEEN)",): SEEN,
    ("FLAGGED",): [6],
    ("FROM", '"grace hill"'): [1, 2],
    ("FROM", "litware.example", "SEEN"): [6],
    ("SUBJECT", '"order 4711"'): [1, 2],
    ("SUBJECT", '"order 4711"', "UNSEEN"): [],
    ("CC", "sales@contoso.example"): [7],
    ("SINCE", "1-Jan-2020", "BEFORE", "1-Jan-2999"): SEEN + UNSEEN,
    ("BEFORE", "1-Jan-2020"): [],
    ("2:3,9:*",): [2, 3, 9, 10],
    ("*",): [10],
}


def test_search_finds_messages(client: imaplib.IMAP4_SSL) -> None:
    assert FOUND == {criteria: numbers(client.search(None, *criteria)) for criteria in FOUND}


def test_search_takes_a_literal_in_another_script(client: imaplib.IMAP4_SSL) -> None:
    client.literal = cast("str", "注文番号".encode())  # typeshed says str, but imaplib sends bytes

    assert [7] == numbers(client.search("UTF-8", "SUBJECT"))


def test_search_by_days_splits_the_messages(client: imaplib.IMAP4_SSL) -> None:
    day = re.search(rb'"\s?(\d+-\w+-\d+) ', items_of(client, 4, "INTERNALDATE"))
    assert day is not None
    since, before = (numbers(client.search(None, key, day[1].decode())) for key in ("SINCE", "BEFORE"))

    assert SEEN + UNSEEN == before + since
    assert 4 in since


def test_uids_name_messages_for_good(client: imaplib.IMAP4_SSL) -> None:
    uids = numbers(client.uid("SEARCH", "ALL"))
    assert sorted(set(uids)) == uids
    assert uids[6:] == numbers(client.uid("SEARCH", "UNSEEN"))
    assert [3] == numbers(client.search(None, "UID", str(uids[2])))

    assert [f"3 (UID {uids[2]} FLAGS (\\Seen))".encode()] == client.uid("FETCH", str(uids[2]), "(FLAGS)")[1]


def test_fetch_returns_the_message_as_sent(client: imaplib.IMAP4_SSL) -> None:
    start, content = content_of(client, 3, "RFC822.SIZE BODY.PEEK[]")
    message = parsed(content)

    assert f"RFC822.SIZE {len(content)} ".encode() in start
    assert ("Rechnung 2031: falsche USt-IdNr.", "Jürgen Groß <juergen.gross@fabrikam.example>") == (
        message["Subject"],
        message["From"],
    )
    assert ["Rechnung 2031.pdf"] == [part.get_filename() for part in message.iter_attachments()]


def test_parts_of_a_message_are_fetched(client: imaplib.IMAP4_SSL) -> None:
    items = ("BODY.PEEK[]", "BODY[]<9.7>", "RFC822.HEADER", "BODY[TEXT]", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]")
    whole, partial, header, text, subject = (content_of(client, 10, item)[1] for item in items)

    assert whole[9:16] == partial
    assert whole == header + text
    assert text.startswith(b"Just so you know: the 62 mm rolls came today")
    assert b"Subject: Thank you, the new rolls fit\r\n\r\n" == subject


def test_envelope_has_addresses_and_threading(client: imaplib.IMAP4_SSL) -> None:
    answer = items_of(client, 2, "ENVELOPE")
    grace = b'(("Grace Hill" NIL "grace.hill" "northwind.example"))'
    to_support = b'(("Contoso Support" NIL "support" "contoso.example"))'

    assert b" ".join([grace, grace, grace, to_support, b"NIL", b"NIL", b'"<order-4711@northwind.example>"']) in answer
    assert b'"RE: Order 4711 has not arrived"' in answer


def test_reading_a_body_sets_seen(client: imaplib.IMAP4_SSL) -> None:
    client.fetch("7", "(BODY.PEEK[] ENVELOPE)")
    assert [] == flags_of(client, 7)
    client.fetch("7", "(RFC822)")
    assert ["\\Seen"] == flags_of(client, 7)
    assert UNSEEN[1:] == numbers(client.search(None, "UNSEEN"))

    client.select("INBOX", readonly=True)
    client.fetch("8", "(BODY[])")
    assert [] == flags_of(client, 8)


def test_flags_are_stored(client: imaplib.IMAP4_SSL) -> None:
    client.store("8:9", "+FLAGS", "(\\Seen \\Flagged)")
    assert ["\\Flagged", "\\Seen"] == flags_of(client, 9)
    client.store("9", "-FLAGS", "\\Flagged")
    assert ["\\Seen"] == flags_of(client, 9)
    client.store("9", "FLAGS.SILENT", "()")
    assert [] == flags_of(client, 9)

    uid = numbers(client.uid("SEARCH", "UNSEEN"))[0]
    assert "OK" == client.uid("STORE", str(uid), "+FLAGS", "(\\Seen)")[0]
    assert [9, 10] == numbers(client.search(None, "UNSEEN"))


def test_examined_folder_stores_no_flags(client: imaplib.IMAP4_SSL) -> None:
    client.select("INBOX", readonly=True)
    client.store("8", "+FLAGS", "(\\Seen)")

    assert [] == flags_of(client, 8)


def test_folders_are_listed_with_their_use(client: imaplib.IMAP4_SSL) -> None:
    listed = {line.decode() for line in client.list()[1] if isinstance(line, bytes)}

    assert {
        '(\\HasNoChildren) "/" INBOX',
        '(\\HasNoChildren \\Sent) "/" "Sent Items"',
        '(\\HasNoChildren \\Drafts) "/" Drafts',
        '(\\HasNoChildren \\Trash) "/" "Deleted Items"',
    } <= listed
    assert [b'(\\HasNoChildren \\Sent) "/" "Sent Items"'] == client.list('""', "sent*")[1]
    assert [b'(\\Noselect) "/" ""'] == client.list('""', '""')[1]


def test_unknown_arguments_are_rejected(client: imaplib.IMAP4_SSL) -> None:
    for arguments in ("FETCH 1 (COLOUR)", "FETCH x (FLAGS)", "SEARCH COLOUR red", "SEARCH UID x", "STORE 1 COLOUR ()"):
        with pytest.raises(imaplib.IMAP4.error, match="Command Error"):
            client.uid(*arguments.split(" "))


def test_nothing_can_be_fetched_before_a_select(tenant: LocalTenant) -> None:
    with opened(tenant, SUPPORT) as client:
        client.state = "SELECTED"
        with pytest.raises(imaplib.IMAP4.error, match="Command Error"):
            client.fetch("1", "(FLAGS)")


def test_graph_and_imap_show_the_same_mail(tenant: LocalTenant, client: imaplib.IMAP4_SSL) -> None:
    post(tenant, f"/users/{SUPPORT}/sendMail", json={"message": a_message(SUPPORT, subject="Größe?")})
    newest, *older = messages_in(tenant, "inbox")  # the newest ten
    client.noop()
    assert b"11" == client.response("EXISTS")[1][-1]
    assert "Größe?" == newest["subject"] == parsed(content_of(client, 11, "RFC822")[1])["Subject"]
    assert messages_in(tenant, "inbox")[0]["isRead"]

    post(tenant, f"/users/{SUPPORT}/messages/{older[-1]['id']}/move", json={"destinationId": "archive"})
    assert [] == numbers(client.search(None, "SUBJECT", '"nowhere"'))
    client.noop()
    assert ([b"2"], b"10") == (client.response("EXPUNGE")[1], client.response("EXISTS")[1][-1])
    for folder in ('"Sent Items"', "Archive"):
        assert [b"1"] == client.select(folder)[1]


def test_moved_message_cannot_be_fetched_any_more(tenant: LocalTenant, client: imaplib.IMAP4_SSL) -> None:
    oldest = messages_in(tenant, "inbox")[-1]
    post(tenant, f"/users/{SUPPORT}/messages/{oldest['id']}/move", json={"destinationId": "archive"})

    assert [None] == client.fetch("1", "(FLAGS)")[1]
    assert [None] == client.store("1", "+FLAGS", "(\\Flagged)")[1]
    assert ["\\Seen"] == flags_of(client, 2)


def test_own_mail_is_in_the_own_mailbox_only(tenant: LocalTenant) -> None:
    with opened(tenant, ALICE) as client:
        client.select()
        assert [1, 2] == numbers(client.search(None, "ALL"))
        assert [1] == numbers(client.search(None, "SUBJECT", '"blood test"'))
