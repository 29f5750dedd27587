"""Whatever HTML a stranger sends, what is shown is harmless, and is made soon."""

import time
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.mail.safe_html import MAX_SAFE_BYTES, STYLES, content_ids, safe_html, with_images, without_images
from shared.domain.mail.simple_html import ATTRIBUTES, TAGS

PIECES = (
    "<script>",
    "</script>",
    "<style>",
    "</style>",
    "<svg>",
    "</svg>",
    "<math>",
    "<mi>",
    "<template>",
    "<noscript>",
    "</noscript>",
    "<iframe src=//e.example>",
    "<form action=//e.example>",
    "<input name=a>",
    "<base href=//e.example>",
    "<meta http-equiv=refresh content=0>",
    "<link rel=stylesheet href=//e.example>",
    "<object data=//e.example>",
    "<img src=x onerror=alert(1)>",
    "<img src='https://e.example/t.gif'>",
    "<img src=cid:a>",
    "<img src=data:image/svg+xml,a>",
    "<a href='java&#115;cript:alert(1)'>",
    '<a href="https://e.example" target=_blank>',
    "<a href=data:text/html,a>",
    "<a href=//e.example>",
    "<a href=cid:a>",
    "</a>",
    "<div style='display:none;font-weight:bold'>",
    "<div style='background:url(//e)'>",
    '<p title="a>b">',
    "<p title='",
    '"',
    "'",
    ">",
    "<",
    "&lt;script&gt;",
    "&#60;",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?x",
    "<table>",
    "<td>",
    "</table>",
    "<b>",
    "</b>",
    "<p>",
    "</p>",
    "<select>",
    "<textarea>",
    "</textarea>",
    "<title>",
    "<xmp>",
    "<plaintext>",
    "\x00",
    "text",
    " ",
    "/",
    "=",
    "onclick=alert(1)",
    "<body onload=alert(1)>",
    "<video src=//e.example>",
)
KNOWN = {name for names in ATTRIBUTES.values() for name in names} | {"rel"}


class Found(HTMLParser):
    """All tags of HTML with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))


def assert_harmless(text: str) -> None:
    for tag, attributes in Found(text).tags:
        assert tag in TAGS
        assert attributes.keys() <= KNOWN
        assert urlsplit(attributes.get("src", "cid:a")).scheme == "cid"
        assert tag != "a" or "noopener noreferrer nofollow" == attributes["rel"]
        assert urlsplit(attributes.get("href", "tel:1")).scheme in {"http", "https", "mailto", "tel"}
        assert {style.partition(":")[0] for style in attributes.get("style", "").split(";") if style} <= STYLES


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=20).map("".join))
def test_what_is_shown_is_harmless(text: str) -> None:
    shown = safe_html(text)

    assert_harmless(shown)
    assert_harmless(without_images(with_images(shown, {})))


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("<p>Hello <b>you</b> &amp; me</p>", "<p>Hello <b>you</b> &amp; me</p>"),
        ("a<script>alert(1)</script>b", "ab"),
        ("<style>p { display: none }</style>b", "b"),
        ("<!--[if mso]><p>x</p><![endif]-->b", "b"),
        ("<form action=x><input>b</form>", "b"),
        ("<img src='https://e.example/t.gif' alt=a>", '<img alt="a">'),
        ("<img src=cid:a@b>", '<img src="cid:a@b">'),
        ("<a href=javascript:alert(1)>x</a>", '<a rel="noopener noreferrer nofollow">x</a>'),
        (
            "<a href='https://e.example/?a=1&amp;b=2'>x</a>",
            '<a href="https://e.example/?a=1&amp;b=2" rel="noopener noreferrer nofollow">x</a>',
        ),
        ("<span style='display:none;font-weight:bold'>x</span>", '<span style="font-weight:bold">x</span>'),
        ("<TABLE><TR><TD colspan=2>x", '<table><tbody><tr><td colspan="2">x</td></tr></tbody></table>'),
        ("1 < 2 and <3 a > b", "1 &lt; 2 and &lt;3 a &gt; b"),
        ("cut <a href=", "cut "),
    ],
)
def test_a_text_is_shown_as(given: str, shown: str) -> None:
    assert shown == safe_html(given)


@pytest.mark.parametrize(
    "piece",
    [
        "<div>",
        "<b><p>",
        "<table><td>",
        "<!--",
        '<a "',
        "</",
        "<ul><li>",
        "<p><b></p>x",
        "&",
        "<font a{} b c d e f g h>",
        "<a href='x' title={} b c d>",
        "<span title={}>",
    ],
)
def test_no_text_takes_long(piece: str) -> None:
    text = "".join(piece.format(number) for number in range(MAX_SAFE_BYTES // len(piece)))[:MAX_SAFE_BYTES]
    started = time.process_time()

    safe_html(text)

    assert time.process_time() - started < 20


def test_own_images_are_embedded() -> None:
    shown = safe_html("<img src='cid:a&amp;b'><img src=CID:c><p>cid:a</p>")

    assert {"a&b", "c"} == content_ids(shown)
    embedded = with_images(shown, {"a&b": "data:image/png;base64,YQ=="})
    assert '<img src="data:image/png;base64,YQ=="><img><p>cid:a</p>' == without_images(embedded).replace(
        ' src="CID:c"', ""
    )


def test_no_text_removes_the_tags_after_it() -> None:
    shown = safe_html("""<p>x src="cid:</p><div>"y</div><i title='a" src="cid:b'>z</i><img alt=">" src=cid:c>""")

    expected = """<p>x src="cid:</p><div>"y</div><i>z</i><img alt="&gt;">"""
    assert expected == without_images(with_images(shown, {}))
