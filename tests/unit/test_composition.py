"""Graph's JSON of what a caller writes, whatever the texts are."""

import html
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.formats import normalize_address
from shared.domain.mail.composition import Composition, Reference, ReferenceAction, message_json, response_json
from shared.domain.mail.message import Address

MAILBOX = "support@contoso.example"
PIECES = (
    "<body",
    "</body",
    "<BODY a='>'>",
    "</Body >",
    ">",
    "<",
    "&",
    "\n",
    "\r\n",
    "text",
    "<!--",
    "<html>",
    "\u0130",
)
MARKUP = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
PEOPLE = st.lists(st.sampled_from([f"{name}@fabrikam.example" for name in ("a", "A", "b", "c", "d")]), max_size=6)


def recipients(addresses: list[str]) -> list[dict[str, Any]]:
    return [{"emailAddress": {"name": "", "address": each}} for each in addresses]


def people(addresses: list[str]) -> tuple[Address, ...]:
    return tuple(Address("", each) for each in addresses)


@given(text=MARKUP, inner=MARKUP)
def test_text_stands_escaped_above_the_quotation(text: str, inner: str) -> None:
    draft = {"body": {"contentType": "html", "content": f"<html><body>{inner}</body></html>"}}
    reference = Reference("AAAA", inline=True)

    content = response_json(Composition(text=text), reference, MAILBOX, draft)["body"]["content"]

    escaped = html.escape(text, quote=False).replace("\r\n", "\n").replace("\n", "<br>")
    assert content == f"<html><body><div>{escaped}</div><br>{inner}</body></html>"


@given(document=MARKUP, inner=MARKUP)
def test_nothing_of_html_is_lost_in_a_quotation(document: str, inner: str) -> None:
    draft = {"body": {"contentType": "html", "content": f"<html><body>{inner}</body></html>"}}
    content = response_json(Composition(html=document), Reference("AAAA", inline=True), MAILBOX, draft)["body"][
        "content"
    ]

    before, quoted, after = content.partition(f"<br>{inner}")
    assert quoted
    assert document == before + after


@given(groups=st.tuples(PEOPLE, PEOPLE, PEOPLE), given_groups=st.tuples(PEOPLE, PEOPLE, PEOPLE))
def test_reply_all_reaches_everybody_once(groups: tuple[list[str], ...], given_groups: tuple[list[str], ...]) -> None:
    names = ("toRecipients", "ccRecipients", "bccRecipients")
    draft = {name: recipients(group) for name, group in zip(names, groups, strict=True)}
    to, cc, bcc = map(people, given_groups)
    reference = Reference("AAAA", ReferenceAction.REPLY_ALL)

    properties = response_json(Composition(to=to, cc=cc, bcc=bcc), reference, MAILBOX, draft)

    reached = [normalize_address(each["emailAddress"]["address"]) for name in names for each in properties[name]]
    wanted = {normalize_address(each) for group in (*groups, *given_groups) for each in group}
    assert len(reached) == len(wanted)
    assert set(reached) == wanted


@given(name=st.text(), address=st.sampled_from(["", MAILBOX, MAILBOX.upper()]))
def test_every_message_is_from_the_mailbox(name: str, address: str) -> None:
    composition = Composition(sender=Address(name, address))
    composition.check_sender(MAILBOX)
    assert MAILBOX == message_json(composition, MAILBOX)["from"]["emailAddress"]["address"]
