"""`App`: everything that lives as long as the process. Use cases take it as their first argument."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.domain.audit import AuditRecord
from shared.domain.caller import CallingApplication, EntraTrust
from shared.domain.clouds import Cloud
from shared.domain.event import ExpiryWarning
from shared.domain.failure import SetupFault
from shared.domain.limit import LimitSalt
from shared.domain.mail.submission import Submission
from shared.domain.oauth_app import CircuitBreaker, RegisteredApp
from shared.domain.webhook import Lease
from shared.domain.work import Counters, Handover, Sweep, Tick
from shared.ports.events import Deliveries, Outboxes, Targets, Webhooks
from shared.ports.mail import GraphMail
from shared.ports.mailboxes import Mailboxes
from shared.ports.microsoft import EntraCallers, EntraSetup, MailboxProbes
from shared.ports.principals import Principals
from shared.ports.sealing import DataKeyRing, SealedRows, Sealer
from shared.ports.state import (
    ApiTokenCache,
    Caches,
    CallingApplicationCache,
    GuardedEntra,
    MailboxTurns,
    OAuthAppCache,
    RateLimit,
    Tally,
)
from shared.ports.storage import (
    Agenda,
    ApiTokens,
    Buckets,
    Directory,
    RegisteredApps,
    Registrations,
    Rows,
    ShardQueue,
)

type Clock = Callable[[], datetime]
"""The current time, in UTC."""

type Entropy = Callable[[int], bytes]
"""That many random bytes, for secrets."""

type Jitter = Callable[[], float]
"""A random number in [0, 1), to spread work."""

type AuditLog = Callable[[AuditRecord], None]
"""Writes an audit record."""


@dataclass(frozen=True, slots=True)
class Config:
    """The settings that use cases need; see shared.settings.

    `seed` is the OAuth app of the settings. A timer works `tick_rows` rows of a shard, `rows_at_once` at a time, before
    it hands the shard over. `proxies` is the number of reverse proxies in front of the platform. API tokens are valid
    only with `token_callers`, and Entra's tokens only with an `entra_trust`. `sample_app` is the origin of the local
    run's sample app; there is none at a public address. An answer of Graph's mail has at most `max_answer_bytes`.
    Without `hand_out`, no account hands out tokens.
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
    sample_app: str | None
    max_answer_bytes: int
    hand_out: bool

    @property
    def redirect_uri(self) -> str:
        """The redirect URI, exactly as it must be registered in Entra."""
        return f"{self.base_url}/oauth"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long single steps may take.

    A timer starts no step after four minutes, and its last step must end well before host.json's functionTimeout. A
    page of the sweep waits for its slowest record, and a delivery run for its visits. A browser that comes back from
    Microsoft a second time waits for the end of its first return. A message whose sending got no answer is looked at
    after each of several pauses.
    """

    agenda_row: timedelta = timedelta(minutes=2)
    swept_record: timedelta = timedelta(minutes=1)
    fan_out: timedelta = timedelta(seconds=20)
    target_visit: timedelta = timedelta(seconds=20)
    delivery_lease: timedelta = timedelta(minutes=1)
    repeated_return: timedelta = timedelta(seconds=10)
    looks_at_sent: tuple[timedelta, ...] = (timedelta(seconds=1), timedelta(seconds=3), timedelta(seconds=6))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Stores:
    """All tables."""

    principals: Principals
    directory: Directory
    mailboxes: Mailboxes
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
    submissions: Rows[Submission]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Sealing:
    """Encryption at rest, and what a key rotation needs."""

    sealer: Sealer
    data_keys: DataKeyRing
    rows: SealedRows


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Microsoft:
    """Clients of Microsoft's services. `setup` calls Entra regardless of circuit breakers."""

    entra: GuardedEntra
    setup: EntraSetup
    probes: MailboxProbes


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Callers:
    """Callers of the API. `entra` verifies Entra's tokens; it is None when the settings trust none."""

    api_tokens: ApiTokenCache
    applications: CallingApplicationCache
    entra: EntraCallers | None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class App:
    """The app. `dataclasses.replace` makes a variant, for tests and timers.

    `setup_faults` are the hosts that our own settings make unreachable, as far as this process has tried.
    `connections` closes all connections, the newest first.
    """

    config: Config
    stores: Stores
    sealing: Sealing
    microsoft: Microsoft
    microsoft_for_timers: Microsoft
    graph_mail: GraphMail
    turns: MailboxTurns
    oauth_apps: OAuthAppCache
    callers: Callers
    rate_limit: RateLimit
    tally: Tally
    targets: Targets
    shard_queue: ShardQueue
    setup_faults: Callable[[], Sequence[SetupFault]]
    audit: AuditLog
    clock: Clock
    entropy: Entropy
    jitter: Jitter
    connections: AsyncExitStack
    caches: Caches = field(default_factory=Caches)
    timeouts: Timeouts = Timeouts()

    def for_timers(self) -> "App":
        """The app with Microsoft clients of its own for timers, so that people and callers never wait for a timer."""
        return replace(self, microsoft=self.microsoft_for_timers)

    async def close(self) -> None:
        """Finish writes in the background, then close all connections."""
        await self.tally.flush()
        await self.rate_limit.flush()
        await self.callers.api_tokens.flush()
        await self.callers.applications.flush()
        await self.connections.aclose()
