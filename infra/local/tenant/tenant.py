"""The tenant's state, which every endpoint works on: address, directory, keys, conditions and journal."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.local.tenant.app_credentials import AppCredentials
from infra.local.tenant.conditions import Conditions
from infra.local.tenant.directory import Directory
from infra.local.tenant.keys import Keys
from infra.local.tenant.mail.first_messages import add_first_messages
from infra.local.tenant.mail.store import MailStore
from infra.local.tenant.vault_keys import VaultKeys

SOURCE = Path(__file__).with_name("contoso.toml")
MAX_EVENTS = 100_000


class Journal:
    """Numbered events, for tests and for people who watch a run; it never holds a token."""

    def __init__(self) -> None:
        self._events: deque[dict[str, Any]] = deque(maxlen=MAX_EVENTS)
        self._last_number = 0

    def note(self, what: str, at: str, **ids: object) -> None:
        """Append an event with the ids that are not None."""
        self._last_number += 1
        known_ids = {name: value for name, value in ids.items() if value is not None}
        self._events.append({"n": self._last_number, "at": at, "what": what, **known_ids})

    def after(self, number: int) -> list[dict[str, Any]]:
        """Events with a higher number, oldest first."""
        return [event for event in self._events if event["n"] > number]

    def clear(self) -> None:
        """Delete the events. The numbers continue."""
        self._events.clear()


@dataclass(slots=True)
class Tenant:
    """One running tenant. `origin` is its address without a trailing slash; `clock` returns epoch seconds."""

    origin: str
    keys: Keys
    clock: Callable[[], float] = time.time
    directory: Directory = field(default_factory=lambda: Directory(SOURCE))
    journal: Journal = field(default_factory=Journal)
    conditions: Conditions = field(default_factory=Conditions)
    app_credentials: AppCredentials = field(default_factory=AppCredentials)
    vault: VaultKeys = field(default_factory=VaultKeys)
    mail: MailStore = field(init=False, repr=False)
    _first_keys: Keys = field(init=False, repr=False)
    redeemed_codes: dict[str, float] = field(default_factory=dict)  # code id: when to forget it, in epoch seconds

    def __post_init__(self) -> None:
        self._first_keys = self.keys
        self._begin_mail()

    def now(self) -> float:
        """The tenant's time in epoch seconds, which control can advance."""
        return self.clock() + self.conditions.clock_ahead_seconds

    def note(self, what: str, **ids: object) -> None:
        """Append an event to the journal."""
        self.journal.note(what, timestamp(self.now()), **ids)

    def replace_signing_key(self) -> None:
        """Sign with a new key from now on.

        https://learn.microsoft.com/entra/identity-platform/signing-key-rollover
        """
        self.keys = self.keys.with_new_signing_key()

    def reset(self) -> None:
        """Return to contoso.toml, the first key, the first messages, no conditions and no events.

        The vault keeps its keys.
        """
        self.keys = self._first_keys
        self.directory = Directory(SOURCE)
        self.conditions = Conditions()
        self.app_credentials = AppCredentials()
        self._begin_mail()
        self.journal.clear()

    def _begin_mail(self) -> None:
        self.mail = MailStore(self.now)
        add_first_messages(self.mail, self.directory, self.now())

    @property
    def issuer(self) -> str:
        """The `iss` of Contoso's ID tokens."""
        return self.issuer_of(self.directory.tenant_id)

    def issuer_of(self, tenant_id: str) -> str:
        """The `iss` of a tenant's ID tokens.

        https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference
        """
        return f"{self.origin}/{tenant_id}/v2.0"


def timestamp(seconds: float) -> str:
    """Epoch seconds as RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
