"""Drafts that are composed in the mailbox: new ones, replies, forwards, and MIME."""

import base64
from collections.abc import AsyncIterator
from http import HTTPMethod
from typing import Any

import httpx
import pytest

from infra.local import parts
from infra.local.visitor import Visitor
from shared.domain.caller import Caller, Scope
from shared.domain.confined.refused import WrongSender
from shared.domain.errors import NotFound
from shared.domain.mail.attachment_id import AttachmentId
from shared.domain.mail.composition import (
    Composition,
    File,
    Importance,
    MessageTooLarge,
    Reference,
    ReferenceAction,
    StoredFile,
)
from shared.domain.mail.message import Address
from shared.ports import App
from shared.usecases.accounts.change import remove_account
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.mail.compose import Draft, compose, find_drafts
from shared.usecases.mail.session import MailCall, MailSession
from shared.usecases.tokens.hand_out import hand_out
from tests.environments import trust
from tests.journey.conftest import Tenant
from tests.usecases.conftest import SALES, SUPPORT, NewPerson, bind

DANA = Address("Dana Ünsal", "dana@fabrikam.example")
ERIN, FRED = Address("", "erin@fabrikam.example"), Address("", "fred@fabrikam.example")
QUESTION = {
    "subject": "Order 4711",
    "from": {"emailAddress": {"name": DANA.name, "address": DANA.address}},
    "toRecipients": [{"emailAddress": {"address": SUPPORT}}, {"emailAddress": {"address": ERIN.address}}],
    "ccRecipients": [{"emailAddress": {"address": FRED.address}}],
    "body": {"contentType": "html", "content": "<html><body><p>Where is it?</p><img src='cid:map'></body></html>"},
    "internetMessageId": "<question@fabrikam.example>",
    "attachments": [
        {
            "@odata.type": "#microsoft.graph.fileAttachment",
            "name": name,
            "contentType": "text/plain",
            "contentBytes": base64.b64encode(name.encode()).decode(),
            "isInline": is_inline,
            "contentId": content_id,
        }
        for name, is_inline, content_id in (("Rechnung für Ünsal.txt", False, None), ("map.png", True, "map"))
    ],
}


async def administrator() -> Caller:
    return ADMINISTRATOR


@pytest.fixture
async def session(app: App, visitor: Visitor, person: NewPerson, tenant: Tenant) -> AsyncIterator[MailSession]:
    """A session of support@, whose person may send as it."""
    login = person()
    tenant.do("access", person=login, mailbox=SUPPORT, sendAs=True)
    account = await bind(app, visitor, login)
    yield MailSession(app, administrator, account, Scope.MAIL_WRITE)
    await remove_account(app, account)


def question(tenant: Tenant) -> str:
    """The id of a message in the inbox."""
    delivered = tenant.do("deliver", mailbox=SUPPORT, message=QUESTION)
    return str(delivered["immutableIds"][0])


async def shown(session: MailSession, draft: Draft) -> dict[str, Any]:
    """The message with its headers and attachments."""
    message = await session.get("messages", draft.id)
    headers = await session.get("messages", draft.id, query={"$select": "internetMessageHeaders"})
    attachments = (await session.get("messages", draft.id, "attachments"))["value"]
    return {**message, **headers, "attachments": attachments}


def addresses(recipients: list[dict[str, Any]]) -> list[str]:
    return [each["emailAddress"]["address"] for each in recipients]


async def drafts(session: MailSession) -> int:
    return int((await session.get("mailFolders", "drafts"))["totalItemCount"])


async def test_everything_that_is_given_is_in_the_draft(session: MailSession) -> None:
    composition = Composition(
        to=(DANA,),
        cc=(ERIN,),
        bcc=(FRED,),
        reply_to=(Address("Desk", "desk@contoso.example"),),
        sender=Address("Help Desk", SUPPORT.upper()),
        subject="Hello 👋",
        text="Hello",
        html="<p>Hello <img src='cid:logo'></p>",
        attachments=(
            File("leer.txt", b"", "text/plain"),
            File("Übersicht 📈.bin", bytes(range(256)), "application/octet-stream"),
            File("logo.png", b"png", "image/png", "logo", is_inline=True),
        ),
        headers=(("X-Ticket", "4711"),),
        importance=Importance.HIGH,
    )
    draft = await compose(session, composition, "<one@contoso.example>")

    message = await shown(session, draft)
    assert "<one@contoso.example>" == draft.internet_message_id == message["internetMessageId"]
    assert message["isDraft"]
    assert draft.id == message["id"]
    assert draft.thread_id == message["conversationId"]
    assert {"emailAddress": {"name": "Help Desk", "address": SUPPORT}} == message["from"]
    assert [{"emailAddress": {"name": DANA.name, "address": DANA.address}}] == message["toRecipients"]
    assert [ERIN.address] == addresses(message["ccRecipients"])
    assert [FRED.address] == addresses(message["bccRecipients"])
    assert ["desk@contoso.example"] == addresses(message["replyTo"])
    assert "Hello 👋" == message["subject"]
    assert "high" == message["importance"]
    assert {"contentType": "html", "content": "<p>Hello <img src='cid:logo'></p>"} == message["body"]
    assert {"name": "X-Ticket", "value": "4711"} in message["internetMessageHeaders"]
    files = {each["name"]: each for each in message["attachments"]}
    assert {"leer.txt", "Übersicht 📈.bin", "logo.png"} == files.keys()
    assert b"" == base64.b64decode(files["leer.txt"]["contentBytes"])
    assert bytes(range(256)) == base64.b64decode(files["Übersicht 📈.bin"]["contentBytes"])
    assert files["logo.png"]["isInline"]
    assert "logo" == files["logo.png"]["contentId"]


async def test_a_draft_is_found_and_then_its_sent_copy(session: MailSession) -> None:
    message_id = "<o'neill+1@contoso.example>"
    draft = await compose(session, Composition(to=(DANA,), subject="Found"), message_id)

    assert [draft] == await find_drafts(session, message_id)
    assert [] == await find_drafts(session, message_id, "sentitems")
    await session.call(MailCall(HTTPMethod.POST, ("messages", draft.id, "send")))
    assert [] == await find_drafts(session, message_id)
    assert [draft] == await find_drafts(session, message_id, "sentitems")


async def test_another_sender_is_refused(session: MailSession) -> None:
    before = await drafts(session)
    mime = b"From: sales@contoso.example\r\nTo: dana@fabrikam.example\r\n\r\nHello"
    for composition in (
        Composition(sender=Address("", "sales@contoso.example")),
        Composition(mime=base64.b64encode(mime)),
    ):
        with pytest.raises(WrongSender, match=SUPPORT):
            await compose(session, composition, "<other@contoso.example>")
    assert before == await drafts(session)


@pytest.mark.parametrize(
    ("action", "to", "cc"),
    [
        (ReferenceAction.REPLY, [DANA.address], []),
        (ReferenceAction.REPLY_ALL, [DANA.address, ERIN.address, "gus@fabrikam.example"], [FRED.address]),
    ],
)
async def test_a_reply_keeps_thread_and_quotes(
    session: MailSession, tenant: Tenant, action: ReferenceAction, to: list[str], cc: list[str]
) -> None:
    original = question(tenant)
    gus = (Address("", "gus@fabrikam.example"), DANA) if action is ReferenceAction.REPLY_ALL else None
    composition = Composition(
        to=gus, text="Tomorrow <soon>\nBye", headers=(("x-a", "b"),), reference=Reference(original, action, inline=True)
    )
    draft = await compose(session, composition, "<answer@contoso.example>")

    message = await shown(session, draft)
    assert (await session.get("messages", original))["conversationId"] == message["conversationId"]
    assert "<answer@contoso.example>" == message["internetMessageId"]
    assert "RE: Order 4711" == message["subject"]
    assert to == addresses(message["toRecipients"])
    assert cc == addresses(message["ccRecipients"])
    assert SUPPORT == message["from"]["emailAddress"]["address"]
    content = message["body"]["content"]
    assert content.index("Tomorrow &lt;soon&gt;<br>Bye") < content.index("<p>Where is it?</p>")
    assert content.startswith("<html><body><div>Tomorrow")
    assert content.endswith("</body></html>")
    headers = {each["name"]: each["value"] for each in message["internetMessageHeaders"]}
    assert "<question@fabrikam.example>" == headers["In-Reply-To"]
    assert "b" == headers["x-a"]
    assert ["map.png"] == [each["name"] for each in message["attachments"]]


async def test_a_reply_without_quotation_has_only_its_text(session: MailSession, tenant: Tenant) -> None:
    original = question(tenant)
    composition = Composition(to=(ERIN,), subject="New", text="Soon", reference=Reference(original))

    message = await shown(session, await compose(session, composition, "<short@contoso.example>"))

    assert "Soon" in message["body"]["content"]
    assert "Where is it?" not in message["body"]["content"]
    assert [] == message["attachments"]
    assert "New" == message["subject"]
    assert [ERIN.address] == addresses(message["toRecipients"])
    assert (await session.get("messages", original))["conversationId"] == message["conversationId"]


@pytest.mark.parametrize(
    ("inline", "forward_attachments", "names"),
    [
        (True, True, ["Rechnung für Ünsal.txt", "map.png", "note.txt"]),
        (True, False, ["map.png", "note.txt"]),
        (False, True, ["Rechnung für Ünsal.txt", "note.txt"]),
        (False, False, ["note.txt"]),
    ],
)
async def test_a_forward_carries_what_was_asked_for(
    session: MailSession, tenant: Tenant, *, inline: bool, forward_attachments: bool, names: list[str]
) -> None:
    original = question(tenant)
    reference = Reference(original, ReferenceAction.FORWARD, inline=inline, forward_attachments=forward_attachments)
    note = File("note.txt", b"note", "text/plain")
    composition = Composition(to=(ERIN,), html="<p>See below</p>", attachments=(note,), reference=reference)

    message = await shown(session, await compose(session, composition, "<forward@contoso.example>"))

    assert names == sorted(each["name"] for each in message["attachments"])
    assert "FW: Order 4711" == message["subject"]
    assert [ERIN.address] == addresses(message["toRecipients"])
    assert message["body"]["content"].startswith("<p>See below</p>")
    assert inline == ("Where is it?" in message["body"]["content"])


async def test_a_forward_arrives_with_quotation_and_files(
    session: MailSession, tenant: Tenant, shared_tenant: parts.Part
) -> None:
    account = await session.account()
    tenant.do("access", person=account.sign_in_name, mailbox=SALES, fullAccess=True)
    reference = Reference(question(tenant), ReferenceAction.FORWARD, inline=True, forward_attachments=True)
    composition = Composition(to=(Address("", SALES),), text="See below", reference=reference)
    draft = await compose(session, composition, "<arrives@contoso.example>")
    await session.call(MailCall(HTTPMethod.POST, ("messages", draft.id, "send")))

    token = (await hand_out(session.app, account.id)).access_token.reveal()
    ready = shared_tenant.ready
    url = f"{ready['url']}/v1.0/users/{SALES}/mailFolders/inbox/messages"
    query = {"$filter": "internetMessageId eq '<arrives@contoso.example>'", "$expand": "attachments"}
    async with httpx.AsyncClient(verify=trust(ready["caFile"]), headers={"Authorization": f"Bearer {token}"}) as client:
        (arrived,) = (await client.get(url, params=query)).raise_for_status().json()["value"]
    assert SUPPORT == arrived["from"]["emailAddress"]["address"] == arrived["sender"]["emailAddress"]["address"]
    assert arrived["body"]["content"].index("See below") < arrived["body"]["content"].index("Where is it?")
    files = {each["name"]: base64.b64decode(each["contentBytes"]) for each in arrived["attachments"]}
    assert {"map.png": b"map.png", "Rechnung für Ünsal.txt": "Rechnung für Ünsal.txt".encode()} == files


async def test_a_missing_reference_is_refused_or_left_out(session: MailSession, tenant: Tenant) -> None:
    original = question(tenant)
    await session.call(MailCall(HTTPMethod.DELETE, ("messages", original)))
    await session.call(MailCall(HTTPMethod.DELETE, ("messages", original)))
    composition = Composition(to=(ERIN,), subject="Anyway", reference=Reference(original))
    with pytest.raises(NotFound):
        await compose(session, composition, "<none@contoso.example>")

    lenient = Composition(to=(ERIN,), subject="Anyway", reference=Reference(original, ignore_missing=True))
    draft = await compose(session, lenient, "<none@contoso.example>")

    assert draft.is_reference_missing
    assert "Anyway" == (await shown(session, draft))["subject"]


async def test_reference_has_to_have_the_message_id(session: MailSession, tenant: Tenant) -> None:
    original = question(tenant)
    wrong = Composition(text="a", reference=Reference(original, message_id="<other@fabrikam.example>"))
    right = Composition(text="a", reference=Reference(original, message_id="<question@fabrikam.example>"))

    with pytest.raises(NotFound, match="Message-ID"):
        await compose(session, wrong, "<checked@contoso.example>")
    assert not (await compose(session, right, "<checked@contoso.example>")).is_reference_missing


async def test_stored_attachments_are_attached_again(session: MailSession, tenant: Tenant) -> None:
    original = question(tenant)
    stored = (await session.get("messages", original, "attachments"))["value"]
    files = [StoredFile(AttachmentId(original, each["id"])) for each in stored]
    renamed = StoredFile(AttachmentId(original, stored[0]["id"]), name="renamed.txt", is_inline=False)

    composition = Composition(to=(ERIN,), attachments=(*files, renamed))
    message = await shown(session, await compose(session, composition, "<again@contoso.example>"))

    kept = {
        each["name"]: (base64.b64decode(each["contentBytes"]), each["isInline"], each["contentId"])
        for each in message["attachments"]
    }
    assert kept == {
        "Rechnung für Ünsal.txt": ("Rechnung für Ünsal.txt".encode(), False, None),
        "map.png": (b"map.png", True, "map"),
        "renamed.txt": ("Rechnung für Ünsal.txt".encode(), False, None),
    }


async def test_files_beyond_one_request_are_added_one_by_one(session: MailSession) -> None:
    files = tuple(File(f"{name}.bin", name.encode() * 1_600_000, "application/octet-stream") for name in "abc")
    draft = await compose(session, Composition(to=(ERIN,), attachments=files), "<large@contoso.example>")

    message = await shown(session, draft)
    assert [draft] == await find_drafts(session, "<large@contoso.example>")
    assert {file.name: file.content for file in files} == {
        each["name"]: base64.b64decode(each["contentBytes"]) for each in message["attachments"]
    }


async def test_a_file_that_no_request_carries_is_refused(session: MailSession) -> None:
    before = await drafts(session)
    large = File("large.bin", bytes(3_000_001), "application/octet-stream")
    with pytest.raises(MessageTooLarge, match="3 MB"):
        await compose(session, Composition(to=(ERIN,), attachments=(large,)), "<huge@contoso.example>")
    assert before == await drafts(session)


async def test_mime_is_from_the_mailbox(session: MailSession) -> None:
    mime = b"To: dana@fabrikam.example\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nX-A: b\r\n\r\nHello\r\n"
    composition = Composition(mime=base64.b64encode(mime), cc=(ERIN,), sender=Address("Desk", SUPPORT))
    message = await shown(session, await compose(session, composition, "<mime@contoso.example>"))

    assert {"emailAddress": {"name": "Desk", "address": SUPPORT}} == message["from"]
    assert "Grüße" == message["subject"]
    assert "<mime@contoso.example>" == message["internetMessageId"]
    assert [DANA.address] == addresses(message["toRecipients"])
    assert [ERIN.address] == addresses(message["ccRecipients"])
    assert "Hello" in message["body"]["content"]
