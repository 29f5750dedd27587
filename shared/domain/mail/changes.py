"""Changes of messages: the flags of IMAP and the labels of EmailEngine, as properties of Microsoft Graph."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.domain.mail.message import Message

# Graph: "Update message", isRead and flag; "followupFlag resource type", flagStatus.
PROPERTIES: Mapping[str, Mapping[bool, Mapping[str, Any]]] = {
    "\\Seen": {True: {"isRead": True}, False: {"isRead": False}},
    "\\Flagged": {True: {"flag": {"flagStatus": "flagged"}}, False: {"flag": {"flagStatus": "notFlagged"}}},
}
MISSING_FLAGS = {
    "\\Answered": "Microsoft Graph does not know which messages were answered",
    "\\Deleted": "Exchange does not mark messages as deleted; use DELETE /v1/account/{account}/message/{message}",
    "\\Draft": "a message is a draft until it is sent",
}
SPELLINGS = {flag.casefold(): flag for flag in (*PROPERTIES, *MISSING_FLAGS)}
NO_SUCH_FLAG = "Exchange has no such flag"


@dataclass(frozen=True, slots=True)
class SetChange:
    """A change of a message's flags, or of its labels: `set` replaces them; otherwise some are added and deleted."""

    add: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()
    set: tuple[str, ...] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it leaves everything as it is."""
        return self.set is None and not self.add and not self.delete

    def of(self, value: str) -> bool | None:
        """Whether the message has this value afterwards. None: as before."""
        if self.set is not None:
            return value in self.set
        return True if value in self.add else False if value in self.delete else None

    def applied_to(self, values: Iterable[str]) -> tuple[str, ...]:
        """The values afterwards, those that were there before first."""
        if self.set is not None:
            return self.set
        return tuple(dict.fromkeys([*(value for value in values if value not in self.delete), *self.add]))


@dataclass(frozen=True, slots=True)
class MessageChange:
    """A change of flags (in the spelling of `flag_named`) and labels, which are Outlook's categories."""

    flags: SetChange
    labels: SetChange

    @property
    def needs_labels(self) -> bool:
        """Whether the labels afterwards depend on those before: Graph replaces them all."""
        return self.labels.set is None and not self.labels.is_empty

    def is_done(self, message: Message) -> bool:
        """Whether the message is already as it has to be."""
        flags = (self.flags.of(flag) in {None, flag in message.flags} for flag in PROPERTIES)
        return all(flags) and {*self.labels.applied_to(message.categories)} == {*message.categories}

    def properties(self, labels: Iterable[str] = ()) -> dict[str, Any]:
        """What to write to a message with these labels."""
        changed: dict[str, Any] = {}
        for flag, properties in PROPERTIES.items():
            wanted = self.flags.of(flag)
            changed |= {} if wanted is None else properties[wanted]
        return changed if self.labels.is_empty else {**changed, "categories": [*self.labels.applied_to(labels)]}


def flag_named(text: str) -> str:
    """A flag in its usual spelling: case makes no difference (RFC 9051 section 2.3.2)."""
    return SPELLINGS.get(text.casefold(), text)


def change_faults(change: MessageChange) -> Iterator[tuple[str, str]]:
    """What is wrong with a change, by field."""
    for name, part in (("flags", change.flags), ("labels", change.labels)):
        if part.set is not None and (part.add or part.delete):
            yield f"{name}.set", "must not stand beside add or delete"
        if {*part.add} & {*part.delete}:
            yield f"{name}.delete", "must not repeat what add has"
    for name, flags in (("add", change.flags.add), ("delete", change.flags.delete), ("set", change.flags.set or ())):
        unknown = [flag for flag in flags if flag not in PROPERTIES]
        for flag in unknown[:1]:
            known = f"{flag}: {MISSING_FLAGS[flag]}" if flag in MISSING_FLAGS else NO_SUCH_FLAG
            yield f"flags.{name}", f"may have \\Seen and \\Flagged only ({known})"
    if change.flags.is_empty and change.labels.is_empty:
        yield "flags", 'or "labels" has to say what to change'
