"""One message and its text, with no more calls than they take, and cut in whole characters."""

import base64
from typing import Any

import httpx
import pytest

from tests.journey.conftest import Tenant
from tests.mail.conftest import MAILBOX

HTML = "<p>Größe 🍋</p>"
FORMS = {"plain": "Größe 🍋", "html": HTML}
MESSAGE = {
    "subject": "Order",
    "from": {"emailAddress": {"name": "Bob", "address": "bob@contoso.example"}},
    "body": {"contentType": "html", "content": HTML},
}
AUTO_REPLY = (
    b"From: a@contoso.example\r\nAuto-Submitted: auto-replied (vacation)\r\nX-Way: one\r\nX-Way: two\r\n\r\nI am away"
)


def delivered(tenant: Tenant, **changes: Any) -> str:
    return str(tenant.do("deliver", **{"mailbox": MAILBOX, "message": MESSAGE, **changes})["immutableIds"][0])


def calls(tenant: Tenant) -> int:
    return len(tenant.events("graph called"))


@pytest.mark.parametrize(
    ("path", "forms", "calls_made"),
    [
        ("message/{}", set(), 1),
        ("message/{}?textType=plain", {"plain"}, 1),
        ("message/{}?textType=html", {"html"}, 1),
        ("message/{}?textType=*", {"plain", "html"}, 2),
        ("text/{}", {"plain", "html"}, 2),
        ("text/{}?textType=plain", {"plain"}, 1),
        ("text/{}?textType=html", {"html"}, 1),
    ],
)
def test_each_form_of_a_text_takes_one_call(
    mail: tuple[httpx.Client, Tenant],
    path: str,
    forms: set[str],
    calls_made: int,
) -> None:
    client, tenant = mail
    path = path.format(delivered(tenant))
    before = calls(tenant)

    answer = client.get(path).json()

    text = answer.get("text", answer)
    assert {form: FORMS[form] for form in forms} == {form: text[form] for form in FORMS if form in text}
    assert calls_made == calls(tenant) - before


@pytest.mark.parametrize(
    ("max_bytes", "plain", "has_more"),
    [(0, "", True), (3, "Gr", True), (4, "Grö", True), (11, "Größe ", True), (12, "Größe 🍋", False)],
)
def test_a_text_is_cut_in_whole_characters(
    mail: tuple[httpx.Client, Tenant],
    max_bytes: int,
    plain: str,
    has_more: bool,  # noqa: FBT001
) -> None:
    client, tenant = mail

    answer = client.get(f"text/{delivered(tenant)}?textType=plain&maxBytes={max_bytes}").json()

    assert {"plain": plain, "hasMore": has_more} == answer


def test_a_message_has_its_headers(mail: tuple[httpx.Client, Tenant]) -> None:
    client, tenant = mail
    encoded = base64.b64encode(AUTO_REPLY).decode()

    answer = client.get(f"message/{delivered(tenant, mime=encoded, message={})}").json()

    assert ["one", "two"] == answer["headers"]["x-way"]
    assert answer["isAutoReply"] is True
    assert "a@contoso.example" == answer["sender"]["address"]
    assert {"encodedSize": {}, "id": answer["id"]} == answer["text"]


def test_marking_needs_the_right_to_change(mail: tuple[httpx.Client, Tenant]) -> None:
    client, tenant = mail
    message = delivered(tenant)

    answer = client.get(f"message/{message}?markAsSeen=true")

    assert (403, "mail:write") == (answer.status_code, answer.json()["requestedScope"])
    assert client.get(f"message/{message}").json()["unseen"] is True


PIXEL = b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"
PICTURES = """<p onclick="x">Hi</p><script>x</script>\
<img src="cid:logo@x"><img src="cid:gone"><img src="cid:drawing"><img src="https://e.example/t.gif">"""
LOGO = f"data:image/gif;base64,{base64.b64encode(PIXEL).decode()}"


def picture(content_id: str, content_type: str) -> dict[str, Any]:
    return {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": content_id,
        "contentType": content_type,
        "contentId": content_id,
        "isInline": True,
        "contentBytes": base64.b64encode(PIXEL).decode(),
    }


@pytest.mark.parametrize(
    ("query", "html", "calls_made"),
    [
        ("textType=html", PICTURES, 1),
        ("textType=html&preProcessHtml=true", "<p>Hi</p><img><img><img><img>", 1),
        ("textType=html&embedAttachedImages=true", PICTURES.replace("cid:logo@x", LOGO), 2),
        ("textType=html&webSafeHtml=true", f'<p>Hi</p><img src="{LOGO}"><img><img><img>', 2),
        ("webSafeHtml=true", f'<p>Hi</p><img src="{LOGO}"><img><img><img>', 3),
    ],
)
def test_html_is_made_safe_and_gets_its_images(
    mail: tuple[httpx.Client, Tenant], query: str, html: str, calls_made: int
) -> None:
    client, tenant = mail
    attachments = [picture("logo@x", "image/gif"), picture("drawing", "image/svg+xml"), picture("other", "image/gif")]
    content = {**MESSAGE, "body": {"contentType": "html", "content": PICTURES}, "attachments": attachments}
    message = delivered(tenant, message=content)
    before = calls(tenant)

    text = client.get(f"message/{message}?{query}").json()["text"]

    assert html == text["html"]
    assert ("Safe" in query or "pre" in query) is text.get("webSafe", False)
    assert calls_made == calls(tenant) - before


def test_safe_html_of_a_long_text_is_its_beginning(mail: tuple[httpx.Client, Tenant]) -> None:
    client, tenant = mail
    content = {**MESSAGE, "body": {"contentType": "html", "content": "<p>long</p>" * 50_000}}

    text = client.get(f"message/{delivered(tenant, message=content)}?textType=html&preProcessHtml=1").json()["text"]

    assert text["hasMore"] is True
    assert text["html"].startswith("<p>long</p>")
    assert 500_000 < len(text["html"]) < 550_000
