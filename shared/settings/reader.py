"""Reads settings one by one, and collects every fault by name, never by value."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from shared.domain.formats import parse_timestamp

PLACEHOLDER_PATTERN = re.compile(r"<.+>")
# A user name, which hides the real host from people, and characters that end a host in browsers or are ignored there.
INVALID_HOST_PATTERN = re.compile(r"[@\\\s\x00-\x1f\x7f]")


class SettingsError(Exception):
    """The settings are wrong; the message lists all faults."""


class Reader:
    """The values of the environment, and the faults that were found in them."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values
        self.faults: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        """The text of a setting, which is required unless there is a default."""
        value = self.values.get(name, "").strip()
        if PLACEHOLDER_PATTERN.fullmatch(value):
            self.faults.append(f"{name} still has the placeholder of local.settings.json.example; set your own value")
            return ""
        if not value and default is None:
            self.faults.append(f"{name} is missing")
        return value or default or ""

    def checked(self, name: str, is_valid: Callable[[str], bool], rule: str, default: str | None = None) -> str:
        """The text of a setting if it is valid, or else empty. `rule` says in the fault what it must be."""
        value = self.text(name, default)
        if not value or is_valid(value):
            return value
        self.faults.append(f"{name} must be {rule}")
        return ""

    def number(self, name: str, default: int, maximum: int, minimum: int = 1) -> int:
        """A whole number from `minimum` to `maximum`."""

        def is_valid(text: str) -> bool:
            return text.isascii() and text.isdigit() and minimum <= int(text[:20]) <= maximum

        rule = f"a whole number from {minimum} to {maximum}"
        return int(self.checked(name, is_valid, rule, str(default)) or default)

    def timestamp(self, name: str) -> datetime | None:
        """An ISO 8601 date, or date and time; UTC if it names no zone."""
        text = self.text(name, "")
        try:
            return parse_timestamp(text) if text else None
        except ValueError:
            self.faults.append(f"{name} must be a date such as 2027-01-31, in the years 2000 to 2099")
            return None

    def listed(self, name: str) -> frozenset[str]:
        """The comma-separated words of a setting, in lower case."""
        return frozenset(word.strip().lower() for word in self.values.get(name, "").split(",") if word.strip())

    def switch(self, name: str, *, default: bool = False) -> bool:
        """A boolean."""
        allowed = {"true": True, "1": True, "false": False, "0": False}
        text = self.checked(name, lambda text: text.lower() in allowed, "true or false", str(default))
        return allowed.get(text.lower(), default)


def is_origin(text: str) -> bool:
    """Whether it is an http or https URL without a path."""
    try:
        parts = urlsplit(text)
        has_host = bool(parts.hostname) and parts.port != 0 and not INVALID_HOST_PATTERN.search(parts.netloc)
    except ValueError:  # half an IPv6 address, or an invalid port
        return False
    return has_host and parts.scheme in {"http", "https"} and text == f"{parts.scheme}://{parts.netloc}"


def is_https(text: str) -> bool:
    """Whether it is an https URL without a path."""
    return is_origin(text.rstrip("/")) and text.startswith("https://")


def is_server(text: str) -> bool:
    """Whether it is a host with a port."""
    try:
        parts = urlsplit(f"//{text}")
        return bool(parts.hostname) and bool(parts.port) and parts.netloc == text and parts.username is None
    except ValueError:  # half an IPv6 address, or an invalid port
        return False


def is_file(text: str) -> bool:
    """Whether the file exists."""
    try:
        return Path(text).is_file()
    except OSError:  # not a valid file name
        return False
