"""The tenant as its endpoints see it: its address, directory, keys, journal, and the conditions it is under."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from infra.local.tenant.certificates import Keys
from infra.local.tenant.conditions import Conditions
from infra.local.tenant.directory import Directory
from infra.local.tenant.journal import Journal
from infra.local.tenant.registered import Registered
from infra.local.tenant.vault_keys import VaultKeys

SOURCE = Path(__file__).with_name("contoso.toml")


@dataclass(slots=True)
class Tenant:
    """One running tenant. `origin` is its address without a trailing slash; `clock` gives epoch seconds."""

    origin: str
    keys: Keys
    clock: Callable[[], float] = time.time
    directory: Directory = field(default_factory=lambda: Directory(SOURCE))
    journal: Journal = field(default_factory=Journal)
    conditions: Conditions = field(default_factory=Conditions)
    registered: Registered = field(default_factory=Registered)
    vault: VaultKeys = field(default_factory=VaultKeys)
    _first_keys: Keys = field(init=False, repr=False)
    redeemed: dict[str, float] = field(default_factory=dict)  # codes that were used, and when each one expires

    def __post_init__(self) -> None:
        self._first_keys = self.keys

    def now(self) -> float:
        """The time in the tenant, in epoch seconds: control can move it ahead."""
        return self.clock() + self.conditions.clock_ahead

    def note(self, what: str, **about: object) -> None:
        """Write an event into the journal."""
        self.journal.note(what, stamp(self.now()), **about)

    def roll_key(self) -> None:
        """Sign with a new key from now on (entra-docs signing-key-rollover.md)."""
        self.keys = self.keys.rolled()

    def reset(self) -> None:
        """Return to contoso.toml, the first key, good conditions and an empty journal. The vault keeps its keys."""
        self.keys = self._first_keys
        self.directory = Directory(SOURCE)
        self.conditions = Conditions()
        self.registered = Registered()
        self.journal.clear()

    @property
    def issuer(self) -> str:
        """The `iss` of Contoso's ID tokens."""
        return self.issuer_of(self.directory.tenant_id)

    def issuer_of(self, tenant_id: str) -> str:
        """The `iss` of ID tokens: each tenant has its own (entra-docs id-token-claims-reference.md)."""
        return f"{self.origin}/{tenant_id}/v2.0"


def stamp(seconds: float) -> str:
    """A time as RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
