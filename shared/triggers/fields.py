"""Reads request bodies field by field, so that every fault is reported and no value repeated."""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import azure.functions as func
import msgspec

from shared.domain.errors import InvalidInput, InvalidJson
from shared.domain.formats import MAX_LABEL_CHARACTERS, has_domain_labels, parse_timestamp

TRUE = {"y", "true", "1"}
FALSE = {"n", "false", "0"}
A_MOMENT = "must be a date and time such as 2027-01-31T00:00:00Z, in the years 2000 to 2099"
LONGEST_ADDRESS = 320  # octets: 64, the @ and 255 (RFC 5321 section 4.5.3.1)
# Addresses become segments of Graph's URLs, and no mailbox has these in its address.
NOT_IN_ADDRESSES = frozenset("/\\?#%")


def read_object(req: func.HttpRequest) -> dict[str, Any]:
    """The JSON object of a request's body. Raises InvalidJson and InvalidInput."""
    try:
        decoded = msgspec.json.decode(req.get_body())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidJson("Invalid request payload JSON format") from None
    if not isinstance(decoded, dict):
        raise InvalidInput({"": "the body must be an object"})
    return decoded


def is_plain(text: str) -> bool:
    """Whether text is free of control characters and of halves of surrogate pairs, which no storage takes."""
    return text.isprintable() or not any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in text)


@dataclass(slots=True)
class Fields:
    """The fields of an object or a query; takes them one by one and remembers what was wrong.

    An empty string counts as absent, as in the contract that this follows. `within` is what stands before the names of
    an object that is part of a larger one, such as `oauth2.`.
    """

    values: Mapping[str, Any]
    faults: dict[str, str] = field(default_factory=dict)
    within: str = ""
    _known: set[str] = field(default_factory=set)

    def text(
        self, name: str, *, longest: int = 256, longest_bytes: int | None = None, nullable: bool = False
    ) -> str | None:
        """Text, trimmed, or None; `longest` in characters, `longest_bytes` in UTF-8."""
        value = self.take(name)
        if value is None and (nullable or name not in self.values):
            return None
        if not isinstance(value, str):
            self.fault(name, "must be a string")
            return None
        text = value.strip()
        if len(text) > longest:
            self.fault(name, f"must be at most {longest} characters long")
            return None
        if not is_plain(text):
            self.fault(name, "must not contain control characters")
            return None
        if longest_bytes is not None and len(text.encode()) > longest_bytes:
            self.fault(name, f"must be at most {longest_bytes} bytes long in UTF-8")
            return None
        return text or None

    def address(self, name: str) -> str | None:
        """A mailbox address, or None. Exchange decides what it accepts; this only keeps out what cannot be one."""
        text = self.text(name, longest=LONGEST_ADDRESS, longest_bytes=LONGEST_ADDRESS)
        if text is None:
            return None
        local, at, domain = text.rpartition("@")
        if not at or not local or not domain or "@" in local or not text.isprintable() or " " in text:
            self.fault(name, "must be a valid email")
            return None
        if not has_domain_labels(domain):
            self.fault(
                name, f"must be a valid email, with 1 to {MAX_LABEL_CHARACTERS} characters between dots of its domain"
            )
            return None
        if NOT_IN_ADDRESSES & set(text):
            self.fault(name, "must be a valid email, without / \\ ? # and %")
            return None
        return text

    def switch(self, name: str) -> bool:
        """A boolean in any of the spellings that the contract allows; absent is false."""
        value = self.take(name)
        spelled = str(value).strip().lower() if isinstance(value, (bool, str, int)) else "?"
        if spelled in TRUE:
            return True
        if spelled not in FALSE | {""} and name in self.values:
            self.fault(name, "must be a boolean")
        return False

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number, also as text, as queries have it."""
        value = self.take(name)
        if value is None or value == "":
            return default
        # 2.0 is a whole number too (JSON Schema validation section 6.1.1).
        text = str(int(value) if isinstance(value, float) and value.is_integer() else value)
        if isinstance(value, bool) or not text.isascii() or not text.isdigit() or not least <= int(text[:20]) <= most:
            self.fault(name, f"must be a whole number from {least} to {most}")
            return default
        return int(text)

    def moment(self, name: str) -> datetime | None:
        """A date, or a date and time, as ISO 8601 writes them; in UTC when it names no zone."""
        value = self.take(name)
        if value is None or value == "":
            return None
        try:
            return parse_timestamp(value)
        except (TypeError, ValueError):
            self.fault(name, A_MOMENT)
            return None

    def paging(self) -> tuple[int, int]:
        """Which page, from zero, and how many to a page."""
        return self.number("page", 0, 0, 1_048_576), self.number("pageSize", 20, 1, 1000)

    def one_of(self, name: str, allowed: list[str]) -> str | None:
        """One of some words, or None."""
        text = self.text(name)
        if text is None or text in allowed:
            return text
        self.fault(name, f"must be one of [{', '.join(allowed)}]")
        return None

    def ignored(self, name: str, fits: Callable[[Any], bool], must: str) -> None:
        """A field that has no effect here, but has to be of the right type all the same."""
        value = self.take(name)
        if value not in (None, "") and not fits(value):
            self.fault(name, f"must be {must}")

    def texts(self, name: str, fits: Callable[[str], bool], what: str, most: int) -> tuple[str, ...]:
        """A text or a list of texts, each of which fits; none only when the field is absent."""
        value = self.take(name)
        if name not in self.values:
            return ()
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not 0 < len(items) <= most:
            self.fault(name, f"must be a list of 1 to {most} {what}")
            return ()
        if not all(isinstance(item, str) and fits(item) for item in items):
            self.fault(name, f"must be a list of {what}")
            return ()
        return tuple(dict.fromkeys(items))

    def take(self, name: str) -> Any:  # noqa: ANN401 - a field may hold any JSON
        """Whatever the field holds; it counts as known."""
        self._known.add(name)
        return self.values.get(name)

    def fault(self, name: str, what: str) -> None:
        """Note what is wrong with a field; the first finding stands."""
        self.faults.setdefault(self.within + name, f'"{self.within}{name}" {what}')

    def part(self, name: str, value: object) -> "Fields":
        """The fields of an object within this one; their faults are this one's."""
        inner = Fields(value if isinstance(value, dict) else {}, self.faults, f"{self.within}{name}.")
        if not isinstance(value, dict):
            self.fault(name, "must be an object")
        return inner

    def finish(self) -> dict[str, str]:
        """All faults, unknown fields included."""
        for name in self.values:
            if name not in self._known:
                self.faults.setdefault(self.within + name[:64], "this field is not allowed")
        return self.faults

    def refuse_faults(self) -> None:
        """Raise InvalidInput when there are any."""
        if self.finish():
            raise InvalidInput(self.faults)
