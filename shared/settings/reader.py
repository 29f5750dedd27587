"""Reads settings one by one, and remembers every fault by name, never by value."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from shared.domain.formats import parse_timestamp

PLACEHOLDER = re.compile(r"<.+>")
# A user, which hides the real host from a reader's eye, and what browsers read as the end of a host or leave out.
UNLIKE_A_HOST = re.compile(r"[@\\\s\x00-\x1f\x7f]")


class SettingsError(Exception):
    """What is wrong with the settings, one line for each."""


@dataclass(slots=True)
class Reader:
    """Takes settings one by one and remembers what was wrong."""

    values: Mapping[str, str]
    faults: list[str] = field(default_factory=list)

    def text(self, name: str, default: str | None = None) -> str:
        """A setting's text; without a default it is required."""
        value = self.values.get(name, "").strip()
        if PLACEHOLDER.fullmatch(value):
            self.faults.append(f"{name} still has the placeholder of local.settings.json.example; set your own value")
            return ""
        if not value and default is None:
            self.faults.append(f"{name} is missing")
        return value or default or ""

    def checked(self, name: str, fits: Callable[[str], bool], must: str, default: str | None = None) -> str:
        """Text that fits, or an empty one; `must` says what it has to be."""
        value = self.text(name, default)
        if not value or fits(value):
            return value
        self.faults.append(f"{name} must be {must}")
        return ""

    def number(self, name: str, default: int, most: int, least: int = 1) -> int:
        """A whole number from `least` to `most`."""

        def fits(text: str) -> bool:
            return text.isascii() and text.isdigit() and least <= int(text[:20]) <= most

        return int(self.checked(name, fits, f"a whole number from {least} to {most}", str(default)) or default)

    def moment(self, name: str) -> datetime | None:
        """A date, or a date and time, as ISO 8601 writes them; in UTC when it names no zone."""
        text = self.text(name, "")
        try:
            return parse_timestamp(text) if text else None
        except ValueError:
            self.faults.append(f"{name} must be a date such as 2027-01-31, in the years 2000 to 2099")
            return None

    def listed(self, name: str) -> frozenset[str]:
        """Comma-separated words, in lower case."""
        return frozenset(word.strip().lower() for word in self.values.get(name, "").split(",") if word.strip())

    def switch(self, name: str) -> bool:
        """True or false; false when absent."""
        allowed = {"true": True, "1": True, "false": False, "0": False}
        return allowed.get(
            self.checked(name, lambda text: text.lower() in allowed, "true or false", "false").lower(), False
        )


def is_origin(text: str) -> bool:
    """Whether it is an http or https address without a path."""
    try:
        parts = urlsplit(text)
        named = bool(parts.hostname) and parts.port != 0 and not UNLIKE_A_HOST.search(parts.netloc)
    except ValueError:  # half an IPv6 address, or a port that is none
        return False
    return named and parts.scheme in {"http", "https"} and text == f"{parts.scheme}://{parts.netloc}"


def is_https(text: str) -> bool:
    """Whether it is an https address without a path."""
    return is_origin(text.rstrip("/")) and text.startswith("https://")


def is_server(text: str) -> bool:
    """Whether it is a host with a port."""
    try:
        parts = urlsplit(f"//{text}")
        return bool(parts.hostname) and bool(parts.port) and parts.netloc == text and parts.username is None
    except ValueError:  # half an IPv6 address, or a port that is none
        return False


def is_file(text: str) -> bool:
    """Whether there is such a file."""
    try:
        return Path(text).is_file()
    except OSError:  # a name that no file system takes
        return False
