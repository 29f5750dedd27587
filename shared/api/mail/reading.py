"""GET …/message/{message} and …/text/{text}: one message, and its text."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import fields

from shared.api.mail.message_fields import (
    ListedMessage,
    ListedText,
    MailAddress,
    TextSize,
    listed_message,
    mail_address,
)
from shared.api.mail.resource import resource
from shared.api.mail.safe_html import MAX_SAFE_BYTES, content_ids, safe_html, with_images, without_images
from shared.domain.audit import Action
from shared.domain.caller import Scope
from shared.domain.mail.file_names import first_bytes
from shared.domain.mail.text import MessageText, TextType, is_auto_reply, limited
from shared.http.bounds import MAIL_ID_BOUNDS
from shared.http.decoding import Body
from shared.http.responses import Answer
from shared.ports import App
from shared.usecases.mail.read_message import MessageDetails, images_of, mark_as_seen, message_details, message_text
from shared.usecases.mail.session import Identify, MailSession

MAX_TEXT_BYTES = 2**30

Plain = Annotated[str, Meta(description="The plain text, if it was asked for.", examples=["Hello"])]
Html = Annotated[str, Meta(description="The HTML, if it was asked for.", examples=["<p>Hello</p>"])]
HasMore = Annotated[bool, Meta(description="Whether maxBytes cut off a part of it.", examples=[False])]


class TextQuery(Body, kw_only=True):
    """Which text to return."""

    refused: ClassVar[Mapping[str, str]] = {"documentStore": "is not available: messages are read from the mailbox"}

    text_type: (
        Annotated[TextType, Meta(description="plain, html, or * for both.", examples=["*"], extra={"lower": True})]
        | UnsetType
    ) = UNSET
    max_bytes: (
        Annotated[
            int,
            Meta(description="The most bytes of each text, in UTF-8.", examples=[100_000], ge=0, le=MAX_TEXT_BYTES),
        ]
        | UnsetType
    ) = UNSET


class MessageQuery(TextQuery, kw_only=True):
    """What to return of a message. Without `textType` and `webSafeHtml`, its text is left out."""

    web_safe_html: (
        Annotated[
            bool,
            Meta(
                description="Return HTML that is fit to be shown in a page, with its images: preProcessHtml and"
                " embedAttachedImages together. Without textType, return both forms.",
                examples=[False],
            ),
        ]
        | UnsetType
    ) = UNSET
    pre_process_html: (
        Annotated[
            bool,
            Meta(
                description="Remove scripts, forms, hidden parts and all that would be loaded from elsewhere.",
                examples=[False],
            ),
        ]
        | UnsetType
    ) = UNSET
    embed_attached_images: (
        Annotated[
            bool,
            Meta(
                description="Put attached images into the HTML, at most 32 with 8 MiB. Each takes a call.",
                examples=[False],
            ),
        ]
        | UnsetType
    ) = UNSET

    mark_as_seen: (
        Annotated[bool, Meta(description="Mark it as read, which needs the scope mail:write too.", examples=[False])]
        | UnsetType
    ) = UNSET


class Text(Answer, kw_only=True):
    """The text of a message."""

    plain: Plain | UnsetType = UNSET
    html: Html | UnsetType = UNSET
    has_more: HasMore


class ShownText(ListedText, kw_only=True):
    """Where the text of a message is, and the text if it was asked for."""

    plain: Plain | UnsetType = UNSET
    html: Html | UnsetType = UNSET
    has_more: HasMore | UnsetType = UNSET
    web_safe: (
        Annotated[bool, Meta(description="Whether the HTML is fit to be shown in a page.", examples=[True])] | UnsetType
    ) = UNSET


class ShownMessage(ListedMessage, kw_only=True):
    """A message."""

    sender: MailAddress | UnsetType = UNSET
    headers: Annotated[
        dict[str, list[str]],
        Meta(description="The values of each header by its name in lower case.", examples=[{"x-order": ["4711"]}]),
    ]
    in_reply_to: (
        Annotated[str, Meta(description="The In-Reply-To header.", examples=["<first@example.com>"])] | UnsetType
    ) = UNSET
    is_auto_reply: Annotated[bool, Meta(description="Whether a program answered, as it says.", examples=[False])]
    text: ShownText


@resource.get(
    "/v1/account/{account}/message/{message}",
    Action.USE_MAILBOX,
    Scope.MAIL_READ,
    bounds=MAIL_ID_BOUNDS,
    refusals=[400, 404],
)
async def get_message(
    app: App, identify: Identify, account_id: str, message_id: str, query: MessageQuery
) -> ShownMessage:
    """Get a message.

    Describes a message, with its headers and attachments. Its text comes with `textType`; both forms take one more call
    to Microsoft Graph.
    """
    if query.mark_as_seen:
        (await identify()).require_scope(Scope.MAIL_WRITE)
    session = MailSession(app, identify, account_id, Scope.MAIL_READ)
    wanted = query.text_type or (TextType.ALL if query.web_safe_html else None)
    details = await message_details(session, message_id, wanted)
    text = await _shown_text(session, details, query)
    seen = details.message
    if query.mark_as_seen:
        seen = await mark_as_seen(MailSession(app, identify, account_id, Scope.MAIL_WRITE), seen)
    listed = listed_message(seen)
    shown = {field.name: getattr(listed, field.name) for field in fields(ListedMessage) if field.name != "text"}
    return ShownMessage(
        **shown,
        sender=mail_address(details.sender) if details.sender else UNSET,
        headers=dict(details.headers),
        in_reply_to=next(iter(details.headers.get("in-reply-to", ())), UNSET),
        is_auto_reply=is_auto_reply(details.headers),
        text=text,
    )


@resource.get(
    "/v1/account/{account}/text/{text}", Action.USE_MAILBOX, Scope.MAIL_READ, bounds=MAIL_ID_BOUNDS, refusals=[400, 404]
)
async def get_message_text(app: App, identify: Identify, account_id: str, text_id: str, query: TextQuery) -> Text:
    """Get the text of a message.

    Returns the text in both forms, each of which takes a call to Microsoft Graph, or in the one that `textType` names.
    """
    session = MailSession(app, identify, account_id, Scope.MAIL_READ)
    text = await message_text(session, text_id, query.text_type or TextType.ALL)
    cut, has_more = limited(text, _max_bytes(query))
    return Text(plain=_given(cut.plain), html=_given(cut.html), has_more=has_more)


async def _shown_text(session: MailSession, details: MessageDetails, query: MessageQuery) -> ShownText:
    cut, has_more = limited(details.text, _max_bytes(query))
    shown = ShownText(id=details.message.id, encoded_size=_sizes(details.text))
    if details.text != MessageText():
        shown.plain, shown.html, shown.has_more = _given(cut.plain), _given(cut.html), has_more
    if cut.html is not None:
        await _prepare_html(session, details, query, shown)
    return shown


async def _prepare_html(session: MailSession, details: MessageDetails, query: MessageQuery, shown: ShownText) -> None:
    """Make the HTML safe, and put its images in, as far as that was asked for."""
    html, is_safe = str(shown.html), bool(query.web_safe_html or query.pre_process_html)
    if is_safe:
        beginning = first_bytes(html, MAX_SAFE_BYTES)
        shown.has_more, shown.web_safe = bool(shown.has_more) or beginning != html, True
        # It may take seconds, in which other requests go on.
        html = await asyncio.to_thread(safe_html, beginning)
    if query.web_safe_html or query.embed_attached_images:
        html = with_images(html, await images_of(session, details.message, content_ids(html)))
    shown.html = without_images(html) if is_safe else html


def _sizes(text: MessageText) -> TextSize:
    """The whole sizes, of the forms that were read."""
    plain, html = (UNSET if each is None else len(each.encode(errors="replace")) for each in (text.plain, text.html))
    return TextSize(plain=plain, html=html)


def _given(text: str | None) -> str | UnsetType:
    return UNSET if text is None else text


def _max_bytes(query: TextQuery) -> int | None:
    return None if query.max_bytes is UNSET else query.max_bytes
