"""`App`: everything that lives as long as the process, in groups. Use cases take it as their first argument."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta

from shared.domain.caller import CallingApplication, EntraTrust
from shared.domain.clouds import Cloud
from shared.domain.event import ExpiryWarning
from shared.domain.limit import LimitSalt
from shared.domain.oauth_app import CircuitBreaker, RegisteredApp
from shared.domain.webhook import Lease
from shared.domain.work import Counters, Handover, Sweep, Tick
from shared.ports.agenda import Agenda, ShardQueue
from shared.ports.environment import AuditLog, Clock, Entropy, Jitter
from shared.ports.events import Deliveries, Outboxes, Targets, Webhooks
from shared.ports.microsoft import EntraCallers, EntraSetup, MailboxProbes
from shared.ports.principals import Principals
from shared.ports.rows import ApiTokens, Buckets, Directory, RegisteredApps, Registrations, Rows
from shared.ports.sealing import DataKeyRing, SealedRows, Sealer
from shared.ports.state import (
    ApiTokenCache,
    Caches,
    CallingApplicationCache,
    GuardedEntra,
    OAuthAppCache,
    RateLimit,
    Tally,
)


@dataclass(frozen=True, slots=True)
class Config:
    """What use cases need to know of the settings; see shared.settings.

    `seed` is the OAuth app of the settings. `tick_rows` is how many rows of one shard a timer works before it hands
    the shard over, `rows_at_once` how many it works at a time. `proxies` is how many proxies of ours stand before the
    platform. API tokens let callers in only with `token_callers`,
    Entra's only with an `entra_trust`.
    """

    base_url: str
    redirect_origins: frozenset[str]
    link_lifetime: timedelta
    warn_ahead: timedelta
    seed: RegisteredApp
    clouds: Mapping[str, Cloud]
    tick_rows: int
    rows_at_once: int
    token_callers: bool
    admin_token_sha256: str
    entra_trust: EntraTrust | None
    proxies: int

    @property
    def redirect_uri(self) -> str:
        """Where Entra sends people back to; it must be registered exactly so."""
        return f"{self.base_url}/oauth"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long single steps may take.

    A run of a timer lasts four minutes, and what it begins at their end has to end well before host.json's
    functionTimeout. A page of the sweep waits for its slowest record, and a run of the delivery for its visits.
    """

    agenda_row: timedelta = timedelta(minutes=2)
    swept_record: timedelta = timedelta(minutes=1)
    fan_out: timedelta = timedelta(seconds=20)
    target_visit: timedelta = timedelta(seconds=20)
    delivery_lease: timedelta = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Stores:
    """Everything that is stored, by what it holds."""

    principals: Principals
    directory: Directory
    registrations: Registrations
    oauth_apps: RegisteredApps
    breakers: Rows[CircuitBreaker]
    agenda: Agenda
    handovers: Rows[Handover]
    outboxes: Outboxes
    webhooks: Webhooks
    deliveries: Deliveries
    leases: Rows[Lease]
    warned: Rows[ExpiryWarning]
    api_tokens: ApiTokens
    calling_applications: Rows[CallingApplication]
    buckets: Buckets
    limit_salts: Rows[LimitSalt]
    counters: Rows[Counters]
    ticks: Rows[Tick]
    sweeps: Rows[Sweep]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Sealing:
    """Encryption at rest, and what a rotation of its keys needs."""

    sealer: Sealer
    data_keys: DataKeyRing
    rows: SealedRows


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Microsoft:
    """Clients of Microsoft's services. `setup` asks Entra whatever a circuit breaker says."""

    entra: GuardedEntra
    setup: EntraSetup
    probes: MailboxProbes


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Callers:
    """Who calls. `entra` verifies Entra's tokens, and is None when none are trusted."""

    api_tokens: ApiTokenCache
    applications: CallingApplicationCache
    entra: EntraCallers | None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class App:
    """One of each. `dataclasses.replace` makes a variant, for tests and timers.

    `connections` closes what was opened, the newest first.
    """

    config: Config
    stores: Stores
    sealing: Sealing
    microsoft: Microsoft
    microsoft_for_timers: Microsoft
    oauth_apps: OAuthAppCache
    callers: Callers
    rate_limit: RateLimit
    tally: Tally
    targets: Targets
    shard_queue: ShardQueue
    audit: AuditLog
    clock: Clock
    entropy: Entropy
    jitter: Jitter
    connections: AsyncExitStack
    caches: Caches = field(default_factory=Caches)
    timeouts: Timeouts = Timeouts()

    def for_timers(self) -> "App":
        """The same with Microsoft's clients for timers, so that no person or caller waits behind a tick."""
        return replace(self, microsoft=self.microsoft_for_timers)

    async def close(self) -> None:
        """Write what is still to be counted or recorded, then end all connections."""
        await self.tally.settled()
        await self.rate_limit.settled()
        await self.callers.api_tokens.settled()
        await self.callers.applications.settled()
        await self.connections.aclose()
