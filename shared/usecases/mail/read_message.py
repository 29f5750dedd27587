"""Read one message: its details, and its text."""

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from http import HTTPMethod
from typing import Any

from shared.domain.confined.refused import AnswerNotUnderstood
from shared.domain.mail.message import LISTED_ATTACHMENTS, LISTED_PROPERTIES, Address, Message, addresses_of, message_of
from shared.domain.mail.text import MessageText, TextType, headers_of, in_form, text_of
from shared.usecases.mail.contents import VALUE
from shared.usecases.mail.session import MailCall, MailSession, checked_id

BODY = "body"
MAX_IMAGES, MAX_IMAGES_BYTES = 32, 8 * 2**20
IMAGE_TYPES = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp"}
)  # no script can be in these


@dataclass(frozen=True, slots=True)
class MessageDetails:
    """A message with what lists leave out. `headers` have their names in lower case."""

    message: Message
    sender: Address | None
    headers: Mapping[str, list[str]]
    text: MessageText


async def message_text(session: MailSession, message: str, wanted: TextType) -> MessageText:
    """The text of a message. Takes one call for each form. Raises NotFound, and what `MailSession.get` raises."""
    path = ("messages", checked_id(message))
    return text_of({form: await _read(session, path, {"$select": BODY}, form) for form in wanted.forms})


async def message_details(session: MailSession, message: str, wanted: TextType | None) -> MessageDetails:
    """A message, with its text if that is wanted: then a second form takes a second call.

    Raises NotFound, and what `MailSession.get` raises.
    """
    path, forms = ("messages", checked_id(message)), wanted.forms if wanted else ()
    selected = (LISTED_PROPERTIES, "sender", "internetMessageHeaders", *([BODY] if forms else []))
    query = {"$select": ",".join(selected), "$expand": LISTED_ATTACHMENTS}
    described = await _read(session, path, query, *forms[:1])
    answers = dict.fromkeys(forms[:1], described)
    answers |= {form: await _read(session, path, {"$select": BODY}, form) for form in forms[1:]}
    return MessageDetails(
        message_of(described),
        next(iter(addresses_of([described.get("sender")])), None),
        headers_of(described),
        text_of(answers),
    )


async def images_of(session: MailSession, message: Message, content_ids: Collection[str]) -> dict[str, str]:
    """`data:` URLs of the attached images with these content ids (RFC 2397). Takes one call for each.

    Those beyond the limits, and those of types that are not known to be pictures only, are left out. Raises what
    `MailSession.call` raises.
    """
    images, room = dict[str, str](), MAX_IMAGES_BYTES
    for each in message.attachments:
        name = (each.content_id or "").strip("<>")
        is_wanted = name in content_ids and name not in images and each.content_type.lower() in IMAGE_TYPES
        if not is_wanted or each.size > room or len(images) == MAX_IMAGES:
            continue
        path = ("messages", message.id, "attachments", each.id, VALUE)
        content = (await session.call(MailCall(HTTPMethod.GET, path))).body
        room -= len(content)
        images[name] = f"data:{each.content_type.lower()};base64,{base64.b64encode(content).decode()}"
    return images


async def mark_as_seen(session: MailSession, message: Message) -> Message:
    """The message, read; nothing is sent if it is already. Raises what `MailSession.call` raises."""
    if message.is_read:
        return message
    await session.call(MailCall(HTTPMethod.PATCH, ("messages", message.id), content={"isRead": True}))
    return replace(message, is_read=True)


async def _read(session: MailSession, path: tuple[str, ...], query: Mapping[str, str], *form: str) -> Any:  # noqa: ANN401 - any JSON
    answer = await session.get(*path, query=query, preferences=tuple(map(in_form, form)))
    if not isinstance(answer, dict):
        raise AnswerNotUnderstood
    return answer
