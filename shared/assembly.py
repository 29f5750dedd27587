"""Builds the App of these settings: every adapter and every cache, once. Clients connect when they are first needed."""

from contextlib import AsyncExitStack
from typing import NamedTuple

from shared.adapters.connection_faults import ConnectionFaults
from shared.adapters.entra import MsalEntra
from shared.adapters.graph import HttpGraph
from shared.adapters.graph_mail import HttpGraphMail
from shared.adapters.imap import ImapProbe
from shared.adapters.key_wrapping import KeyChoice, LocalKey, VaultKey
from shared.adapters.msal_applications import MsalApplications
from shared.adapters.open_data_keys import OpenDataKeys
from shared.adapters.sealing import AesSealer
from shared.adapters.shard_queue import StorageShardQueue
from shared.adapters.tables.agenda import TableAgenda
from shared.adapters.tables.connection import TableStorage
from shared.adapters.tables.events import TableDeliveries, TableOutboxes
from shared.adapters.tables.mailboxes import TableMailboxes
from shared.adapters.tables.principals import TablePrincipals
from shared.adapters.tables.registrations import TableRegistrations
from shared.adapters.tables.row_secrets import Unsealing
from shared.adapters.tables.rows import TableBuckets, TableDataKeys, TableOAuthApps, TableRows
from shared.adapters.tables.sealed_rows import TableSealedRows
from shared.adapters.tables.table import Table
from shared.adapters.token_calls import TokenCalls
from shared.adapters.webhook_sender import WebhookSender
from shared.domain.caller import ApiToken, CallingApplication
from shared.domain.clouds import Resource, clouds_with
from shared.domain.event import ExpiryWarning, Origin
from shared.domain.limit import LimitSalt
from shared.domain.mail.submission import Submission
from shared.domain.oauth_app import CircuitBreaker
from shared.domain.ttl_cache import RememberedReads
from shared.domain.webhook import Lease, Webhook
from shared.domain.work import Counters, Handover, Sweep, Tick
from shared.ports import (
    App,
    AuditLog,
    Callers,
    Clock,
    Config,
    DirectoryEntry,
    EntraCallers,
    Entropy,
    Jitter,
    MailboxProbes,
    Microsoft,
    Sealing,
    Stores,
)
from shared.settings import Settings
from shared.usecases.accounts.tally import StoredTally
from shared.usecases.apps.catalogue import CachedOAuthApps
from shared.usecases.apps.circuit_breaker import CircuitBreakerEntra
from shared.usecases.callers.api_tokens import CachedApiTokens
from shared.usecases.callers.identify import CachedApplications
from shared.usecases.callers.rate_limit import SharedRateLimit
from shared.usecases.mail.turns import FairTurns

# Calls to the token endpoint at once. Timers have threads of their own, half of all.
PEOPLE_THREADS = 32
TIMER_THREADS = 32
METADATA_THREADS = 4
# A person or caller gives up after about half a minute, of which one call can take twenty seconds.
QUEUE_TIMEOUT_SECONDS = 10.0
# The timer and two queue messages work at a time (host.json), so a call waits for at most two others.
TIMER_QUEUE_TIMEOUT_SECONDS = 60.0
# A login waits most of its time; a tick may have many of them to make.
IMAP_THREADS = 16
# With two or three sealed tokens each, about 10 KB (docs/costs.md).
MAX_REMEMBERED_GRANTS = 2000
MAX_REMEMBERED_ADDRESSES = 2000


class Environment(NamedTuple):
    """Time, randomness and the audit log."""

    clock: Clock
    entropy: Entropy
    jitter: Jitter
    audit: AuditLog


def assemble(settings: Settings, environment: Environment) -> App:
    """The App of these settings."""
    clock, entropy = environment.clock, environment.entropy
    connections = AsyncExitStack()
    storage = TableStorage(settings.tables, settings.managed_identity)
    connections.push_async_callback(storage.close)
    config, faults = _config(settings), ConnectionFaults(clock)
    sealing = _sealing(settings, environment, storage, faults, connections)
    stores = _stores(settings, environment, storage, sealing)
    people, timers = _microsoft(settings, environment, stores, faults, connections)
    graph_mail = HttpGraphMail(settings.ca_file, faults)
    targets = WebhookSender(settings.ca_file, loopback=settings.webhooks_loopback)
    shard_queue = StorageShardQueue(settings.queues, settings.managed_identity)
    connections.push_async_callback(graph_mail.close)
    connections.push_async_callback(targets.close)
    connections.push_async_callback(shard_queue.close)
    applications = CachedApplications(stores.calling_applications, clock)
    return App(
        config=config,
        stores=stores,
        sealing=sealing,
        microsoft=people,
        microsoft_for_timers=timers,
        graph_mail=graph_mail,
        turns=FairTurns(),
        oauth_apps=CachedOAuthApps(stores.oauth_apps, settings.seed, config.clouds, clock),
        callers=Callers(
            CachedApiTokens(stores.api_tokens, clock),
            applications,
            _entra_callers(settings, clock, faults, applications),
        ),
        rate_limit=SharedRateLimit(settings.limits, stores.buckets, stores.limit_salts, clock, entropy),
        tally=StoredTally(stores.counters),
        targets=targets,
        shard_queue=shard_queue,
        setup_faults=faults.current,
        audit=environment.audit,
        clock=clock,
        entropy=entropy,
        jitter=environment.jitter,
        connections=connections,
    )


def _config(settings: Settings) -> Config:
    return Config(
        base_url=settings.base_url,
        redirect_origins=settings.redirect_origins,
        link_lifetime=settings.link_lifetime,
        warn_ahead=settings.warn_ahead,
        seed=settings.seed,
        clouds=clouds_with(settings.cloud),
        tick_rows=settings.tick_rows,
        # A row in work makes one call to Entra at a time, so more rows than threads would only wait.
        rows_at_once=TIMER_THREADS,
        token_callers=settings.token_callers,
        admin_token_sha256=settings.admin_token_sha256,
        entra_trust=settings.entra_trust,
        proxies=settings.proxies,
        sample_app=settings.sample_app,
        max_answer_bytes=settings.max_answer_bytes,
        hand_out=settings.hand_out,
    )


def _sealing(
    settings: Settings,
    environment: Environment,
    storage: TableStorage,
    faults: ConnectionFaults,
    connections: AsyncExitStack,
) -> Sealing:
    keys, entropy = settings.keys, environment.entropy
    local = [LocalKey(key) for key in keys.local]
    vault = [VaultKey(key, settings.managed_identity, settings.ca_file, faults) for key in keys.vault]
    for key in vault:
        connections.push_async_callback(key.close)
    wrapping = KeyChoice([*local, *vault] if keys.local_wraps else [*vault, *local])
    # The table of wrapped keys holds nothing to seal.
    rows = TableDataKeys(Table("DataKeys", storage.table, None, entropy))
    data_keys = OpenDataKeys(
        rows,
        wrapping,
        clock=environment.clock,
        entropy=entropy,
        jitter=environment.jitter,
        rotation_interval=keys.rotation_interval,
    )
    connections.push_async_callback(data_keys.close)
    sealer = AesSealer(data_keys, entropy)
    return Sealing(sealer, data_keys, TableSealedRows(storage.table, sealer))


def _stores(settings: Settings, environment: Environment, storage: TableStorage, sealing: Sealing) -> Stores:
    def table(name: str, *, sealed: bool = True) -> Table:
        return Table(name, storage.table, sealing.sealer if sealed else None, environment.entropy)

    outboxes = {
        Origin.PRINCIPAL: "Principals",
        Origin.REGISTRATION: "Registrations",
        Origin.OAUTH_APP: "Breakers",
        Origin.SUBMISSION: "Submissions",
    }
    return Stores(
        principals=TablePrincipals(
            table("Principals"), RememberedReads(MAX_REMEMBERED_GRANTS, settings.remember), environment.clock
        ),
        directory=TableRows(table("Accounts"), DirectoryEntry, "account", disposable=False),
        mailboxes=TableMailboxes(
            table("Mailboxes", sealed=False),
            RememberedReads(MAX_REMEMBERED_ADDRESSES, settings.remember),
            environment.clock,
        ),
        registrations=TableRegistrations(table("Registrations")),
        oauth_apps=TableOAuthApps(table("OAuthApps")),
        breakers=TableRows(table("Breakers"), CircuitBreaker, "app", disposable=True),
        agenda=TableAgenda(table("Agenda"), settings.agenda_shards),
        handovers=TableRows(table("Agenda"), Handover, "shard", disposable=True),
        outboxes=TableOutboxes({origin: table(name) for origin, name in outboxes.items()}),
        # A webhook whose secrets do not decrypt can be deleted or subscribed again, and stops no other.
        webhooks=TableRows(table("Webhooks"), Webhook, "id", Unsealing.IF_POSSIBLE),
        deliveries=TableDeliveries(table("Deliveries")),
        leases=TableRows(table("Agenda"), Lease, "name", disposable=True),
        warned=TableRows(table("Breakers"), ExpiryWarning, "id", disposable=True),
        api_tokens=TableRows(table("ApiTokens", sealed=False), ApiToken, "id"),
        calling_applications=TableRows(table("CallingApplications", sealed=False), CallingApplication, "id"),
        buckets=TableBuckets(table("Limits")),
        limit_salts=TableRows(table("Limits"), LimitSalt, "day", disposable=True),
        counters=TableRows(table("Statistics"), Counters, "name", disposable=True),
        ticks=TableRows(table("Statistics"), Tick, "name", disposable=True),
        sweeps=TableRows(table("Statistics"), Sweep, "name", disposable=True),
        submissions=TableRows(table("Submissions"), Submission, "id"),
    )


def _microsoft(
    settings: Settings, environment: Environment, stores: Stores, faults: ConnectionFaults, connections: AsyncExitStack
) -> tuple[Microsoft, Microsoft]:
    """Clients for people and callers, and others for timers."""
    metadata = TokenCalls(METADATA_THREADS, QUEUE_TIMEOUT_SECONDS)
    calls, timer_calls = (
        TokenCalls(PEOPLE_THREADS, QUEUE_TIMEOUT_SECONDS),
        TokenCalls(TIMER_THREADS, TIMER_QUEUE_TIMEOUT_SECONDS),
    )
    applications = MsalApplications(settings.ca_file, PEOPLE_THREADS + TIMER_THREADS + METADATA_THREADS, metadata)
    msal = MsalEntra(f"{settings.base_url}/oauth", applications, calls, environment.clock)
    for ended in (applications, calls, timer_calls):
        connections.callback(ended.close)
    entra = CircuitBreakerEntra(msal, stores.breakers, stores.agenda, environment.clock, environment.entropy)
    guarded = entra.around(msal.with_calls(timer_calls))
    return (
        Microsoft(entra, msal, _probes(settings, faults, connections)),
        Microsoft(guarded, msal, _probes(settings, faults, connections)),
    )


def _probes(settings: Settings, faults: ConnectionFaults, connections: AsyncExitStack) -> MailboxProbes:
    graph, imap = HttpGraph(settings.ca_file, faults), ImapProbe(settings.ca_file, IMAP_THREADS, faults)
    connections.push_async_callback(graph.close)
    connections.push_async_callback(imap.close)
    return {Resource.GRAPH: graph, Resource.OUTLOOK: imap}


def _entra_callers(
    settings: Settings, clock: Clock, faults: ConnectionFaults, applications: CachedApplications
) -> EntraCallers | None:
    trust = settings.entra_trust
    if trust is None:
        return None
    # Imported here because an app whose callers have API tokens does without.
    from shared.adapters.entra_callers import EntraCallerTokens  # noqa: PLC0415 - see above

    return EntraCallerTokens(trust, settings.cloud.authority, settings.ca_file, clock, faults, applications.record)
