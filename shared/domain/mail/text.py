"""The text of a message, read from Microsoft Graph's JSON, which has one form of it at a time."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shared.domain.confined.json_bodies import member
from shared.domain.confined.refused import AnswerNotUnderstood
from shared.domain.mail.file_names import first_bytes

# RFC 3834 section 5, and headers of older programs.
AUTO_SUBMITTED = "auto-submitted"
AUTO_REPLY_HEADERS = frozenset({"x-autoreply", "x-autorespond"})


class TextType(StrEnum):
    """Which forms of a text are wanted."""

    PLAIN = "plain"
    HTML = "html"
    ALL = "*"

    @property
    def forms(self) -> tuple[str, ...]:
        """What Graph calls them. Each takes a call of its own."""
        return {self.PLAIN: ("text",), self.HTML: ("html",), self.ALL: ("html", "text")}[self]


def in_form(form: str) -> str:
    """The preference for a form of the body (Graph: "Get message", request headers)."""
    return f'outlook.body-content-type="{form}"'


@dataclass(frozen=True, slots=True)
class MessageText:
    """A text in the wanted forms, whole. None is a form that was not asked for."""

    plain: str | None = None
    html: str | None = None


def text_of(answers: Mapping[str, Any]) -> MessageText:
    """The text from Graph's messages, by the form that was asked for. Raises AnswerNotUnderstood."""
    contents = {form: member(member(message, "body"), "content") for form, message in answers.items()}
    if not all(isinstance(content, str) for content in contents.values()):
        raise AnswerNotUnderstood
    return MessageText(contents.get("text"), contents.get("html"))


def limited(text: MessageText, max_bytes: int | None) -> tuple[MessageText, bool]:
    """Each form, cut to so many bytes of UTF-8 in whole characters, and whether one was cut."""
    if max_bytes is None:
        return text, False
    cut = MessageText(*(None if each is None else first_bytes(each, max_bytes) for each in (text.plain, text.html)))
    return cut, cut != text


def headers_of(message: Mapping[str, Any]) -> dict[str, list[str]]:
    """The values of each header by its name in lower case, in their order."""
    headers: dict[str, list[str]] = {}
    for each in message.get("internetMessageHeaders") or ():
        headers.setdefault(str(each.get("name") or "").lower(), []).append(str(each.get("value") or ""))
    return headers


def is_auto_reply(headers: Mapping[str, Collection[str]]) -> bool:
    """Whether a program answered, as it says itself."""
    submitted = [value.strip().lower() for value in headers.get(AUTO_SUBMITTED, ())]
    return any(each.startswith("auto-replied") for each in submitted) or not AUTO_REPLY_HEADERS.isdisjoint(headers)
