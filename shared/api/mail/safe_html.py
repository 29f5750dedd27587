"""HTML of strangers, fit to be shown in a page: without scripts and forms, and nothing is loaded from elsewhere."""

import html
import re
from collections.abc import Mapping

import nh3

from shared.domain.mail.simple_html import ATTRIBUTES, TAGS, simplified

# Of a text to be made safe; longer ones are cut.
MAX_SAFE_BYTES = 512 * 1024
SCHEMES = {"http", "https", "mailto", "tel", "cid"}
STYLES = {"font-family", "font-style", "font-weight", "text-align", "text-decoration", "vertical-align"}
# Links say nothing about the page that they are on, and give it nothing.
LINKS = "noopener noreferrer nofollow"
# Of HTML that nh3 wrote, whose values stand in quotation marks, and whose texts and values have no `<`.
TAG = re.compile(r'<[^<>"]*+(?:"[^"]*+"[^<>"]*+)*+>')
NOT_EMBEDDED = re.compile(r' src="cid:[^"]*"', re.IGNORECASE)
EMBEDDED = re.compile(r"""(\bsrc\s*=\s*["'])cid:([^"'<>\s]{1,512})""", re.IGNORECASE)


def safe_html(text: str) -> str:
    """The HTML without what a page must not get from strangers. Images of the message itself stay, as `cid:` URLs."""
    return nh3.clean(
        simplified(text),
        tags=set(TAGS),
        attributes={name: set(names) for name, names in ATTRIBUTES.items()},
        attribute_filter=_kept,
        filter_style_properties=STYLES,
        url_schemes=SCHEMES,
        url_relative="deny",
        link_rel=LINKS,
        strip_comments=True,
    )


def with_images(text: str, images: Mapping[str, str]) -> str:
    """The HTML with the URLs of these images, by content id, in place of `cid:` (RFC 2392)."""
    return EMBEDDED.sub(lambda found: found[1] + images.get(content_id(found[2]), f"cid:{found[2]}"), text)


def content_ids(text: str) -> frozenset[str]:
    """The content ids of the images that HTML refers to."""
    return frozenset(content_id(found[2]) for found in EMBEDDED.finditer(text))


def without_images(text: str) -> str:
    """The safe HTML without the images that are not embedded. A text that looks like one stays, with what follows."""
    return TAG.sub(lambda tag: NOT_EMBEDDED.sub("", tag[0]), text)


def content_id(written: str) -> str:
    """A content id as its attachment has it."""
    return html.unescape(written)


def _kept(tag: str, name: str, value: str) -> str | None:
    """Images are the message's own, since others tell their senders who reads; links lead elsewhere."""
    is_own = value.lower().startswith("cid:")
    return value if name not in {"src", "href"} or is_own == (tag == "img") else None
