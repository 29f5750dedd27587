"""Sources and attachments come as unchanged bytes, and as files that no browser shows."""

import base64
import hashlib
import re
from collections.abc import Callable
from email.message import Message
from typing import Any

import httpx
import pytest

from shared.domain.mail.attachment_id import attachment_id
from tests.journey.conftest import Tenant
from tests.mail.conftest import MAILBOX

MIB = 2**20
LIMIT = 1 * MIB
PART = b"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xfc\xdfe \r\n"
SIGNED = (
    b"From: a@contoso.example\r\nSubject: signed\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/signed; protocol="application/x-test"; micalg=sha-256; boundary="b"\r\n\r\n'
    b"--b\r\n" + PART + b"\r\n--b\r\nContent-Type: application/x-test\r\n\r\n"
    + hashlib.sha256(PART).hexdigest().encode() + b"\r\n--b--\r\n"
)  # fmt: skip
SOURCES = {
    "8bit": b"Subject: 8 bit\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + bytes(range(1, 256)) + b"\r\n",
    "latin-1": "Subject: Größe\r\nContent-Type: text/plain; charset=latin-1\r\n\r\nGrüße".encode("latin-1"),
    "signed": SIGNED,
    "long lines": b"Subject: long\r\nX-Long: " + b"y" * 20_000 + b"\r\n\r\n" + b"x" * 100_000 + b"\r\n",
    "bare line feeds": b"Subject: as it was\nX-Odd:   spaces \n\nbody\n\n",
    "other breaks": b"Subject: a\rb\r\n\r\none\rtwo\x00three\x1a\r\n.\r\n..\r\n",
}
FILE = "#microsoft.graph.fileAttachment"

type Deliver = Callable[[bytes], str]
type Attach = Callable[[dict[str, Any]], httpx.Response]


@pytest.fixture
def deliver(mail: tuple[httpx.Client, Tenant]) -> Deliver:
    """Delivers a message in MIME, and returns its id."""

    def deliver(mime: bytes) -> str:
        encoded = base64.b64encode(mime).decode()
        return str(mail[1].do("deliver", mailbox=MAILBOX, mime=encoded)["immutableIds"][0])

    return deliver


@pytest.fixture
def attach(mail: tuple[httpx.Client, Tenant]) -> Attach:
    """Delivers a message with an attachment, and reads that."""

    def attach(attachment: dict[str, Any]) -> httpx.Response:
        content = {"subject": "with a file", "attachments": [attachment]}
        made = mail[1].do("deliver", mailbox=MAILBOX, message=content)
        found = attachment_id(made["immutableIds"][0], made["immutableAttachmentIds"][0][0])
        return mail[0].get(f"attachment/{found}")

    return attach


def file_of(content: bytes, name: str = "a.bin", content_type: str | None = "application/pdf") -> dict[str, Any]:
    encoded = base64.b64encode(content).decode()
    return {"@odata.type": FILE, "name": name, "contentType": content_type, "contentBytes": encoded}


def saved_name(answer: httpx.Response) -> str | None:
    """The name under which the answer is saved; `filename*` counts more than `filename` (RFC 6266 section 4.3)."""
    parsed = Message()
    parsed["Content-Disposition"] = re.sub(r' filename="[^"]*";', "", answer.headers["Content-Disposition"])
    assert "attachment" == parsed.get_content_disposition()
    return parsed.get_filename()


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_comes_byte_for_byte(caller: httpx.Client, deliver: Deliver, name: str) -> None:
    message = deliver(SOURCES[name])

    answer = caller.get(f"message/{message}/source")

    assert (200, "application/octet-stream") == (answer.status_code, answer.headers["Content-Type"])
    assert SOURCES[name] == answer.content
    assert "message.eml" == saved_name(answer)


def test_a_signature_still_fits_its_part(caller: httpx.Client, deliver: Deliver) -> None:
    source = caller.get(f"message/{deliver(SIGNED)}/source").content

    _, part, signature, _ = source.split(b"--b")
    signed = part.removeprefix(b"\r\n").removesuffix(b"\r\n")
    assert hashlib.sha256(signed).hexdigest().encode() in signature


def test_a_source_over_the_limit_is_refused(caller: httpx.Client, deliver: Deliver) -> None:
    message = deliver(b"Subject: large\r\n\r\n" + b"x" * LIMIT)

    answer = caller.get(f"message/{message}/source")

    assert (413, "answer_too_large") == (answer.status_code, answer.json()["code"])
    assert "MAILBIND_MAX_ANSWER_MIB" in answer.json()["message"]


@pytest.mark.parametrize("size", [0, 1, 3 * 1024, LIMIT - 1, LIMIT])
def test_an_attachment_up_to_the_limit_is_unchanged(attach: Attach, size: int) -> None:
    content = (bytes(range(256)) * (size // 256 + 1))[:size]
    answer = attach(file_of(content))

    assert (200, "application/pdf") == (answer.status_code, answer.headers["Content-Type"])
    assert content == answer.content


def test_an_attachment_over_the_limit_is_refused(attach: Attach) -> None:
    answer = attach(file_of(b"x" * (LIMIT + 1)))

    assert 413 == answer.status_code


@pytest.mark.parametrize("content_type", ["text/html", "image/svg+xml", "application/xhtml+xml", "text/javascript"])
def test_no_attachment_is_a_page_here(attach: Attach, content_type: str) -> None:
    answer = attach(file_of(b"<script>alert(1)</script>", "page.html", content_type))

    assert content_type == answer.headers["Content-Type"]
    assert "page.html" == saved_name(answer)
    assert "nosniff" == answer.headers["X-Content-Type-Options"]
    assert "sandbox; default-src 'none'" == answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("text/plain; charset=utf-7", "text/plain"),
        ("Application/PDF", "application/pdf"),
        ("nonsense", "application/octet-stream"),
        ("text/plain, text/html", "application/octet-stream"),
        (None, "application/octet-stream"),
    ],
)
def test_a_type_is_one_media_type(attach: Attach, given: str | None, shown: str) -> None:
    answer = attach(file_of(b"x", content_type=given))

    assert shown == answer.headers["Content-Type"]


@pytest.mark.parametrize(
    "name", ["report.pdf", "Größe.pdf", "報告書 2027.pdf", "🍋.txt", "100%25.txt", "a;b=c,d.txt", "it's.txt"]
)
def test_a_name_arrives(attach: Attach, name: str) -> None:
    answer = attach(file_of(b"x", name))

    assert name == saved_name(answer)


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ('in"voice.pdf', "in_voice.pdf"),
        ("a\r\nSet-Cookie: b.pdf", "a__Set-Cookie_ b.pdf"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("C:\\invoice.pdf", "C__invoice.pdf"),
        ("invoice\u202efdp.exe", "invoice_fdp.exe"),
        ("é" * 300 + ".pdf", "é" * 125 + ".pdf"),
        (" . ", "attachment"),
    ],
)
def test_a_name_cannot_do_harm(attach: Attach, name: str, saved: str) -> None:
    answer = attach(file_of(b"x", name))

    assert saved == saved_name(answer)
    assert "Set-Cookie" not in answer.headers


def test_an_attached_message_is_its_source(attach: Attach) -> None:
    inner = {"subject": "inside", "body": {"contentType": "text", "content": "hello"}}
    item = {"@odata.type": "#microsoft.graph.itemAttachment", "name": "inside", "item": inner}
    answer = attach(item)

    assert 200 == answer.status_code
    assert b"Subject: inside" in answer.content


def test_a_link_is_refused(attach: Attach) -> None:
    link = {"@odata.type": "#microsoft.graph.referenceAttachment", "name": "a", "sourceUrl": "https://a.example/"}
    answer = attach(link)

    assert (409, "attachment_is_link") == (answer.status_code, answer.json()["code"])


@pytest.mark.parametrize("path", ["attachment/kqFtoWE", "attachment/x", "message/AAAA/source", "message/a.b/source"])
def test_what_is_not_there_is_not_found(caller: httpx.Client, path: str) -> None:
    answer = caller.get(path)

    assert (404, "NotFound") == (answer.status_code, answer.json()["code"])
