"""Connections to everything outside, and the tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from azure.data.tables.aio import TableClient, TableServiceClient

from shared.adapters.entra import MsalEntra
from shared.adapters.graph import HttpGraph
from shared.adapters.imap import ImapProbe
from shared.adapters.shard_queue import StorageShardQueue
from shared.adapters.tables.agenda import TableAgenda
from shared.adapters.tables.buckets import TableBuckets
from shared.adapters.tables.connection import connect
from shared.adapters.tables.data_keys import TableDataKeys
from shared.adapters.tables.deliveries import TableDeliveries
from shared.adapters.tables.outboxes import TableOutboxes
from shared.adapters.tables.principals import TablePrincipals
from shared.adapters.tables.rows import TableApiTokens, TableOAuthApps, TableRegistrations, TableRows
from shared.adapters.tables.table import Table
from shared.adapters.tables.webhooks import TableWebhooks
from shared.adapters.webhook_targets import WebhookTargets
from shared.domain.breaker import Breaker
from shared.domain.clouds import Cloud, Resource, clouds_around
from shared.domain.delivery import Lease
from shared.domain.event import Origin
from shared.domain.handover import Handover
from shared.domain.limit import LimitSalt
from shared.domain.statistics import Counters, Sweep, Tick
from shared.domain.warning import Warned
from shared.ports import Clock, DirectoryEntry, EntraCallers, Entropy, Jitter, MailboxProbes, Sealer
from shared.settings import Settings
from shared.usecases.guarded_entra import GuardedEntra
from shared.usecases.known_apps import KnownApps
from shared.usecases.outbox import Outbox

if TYPE_CHECKING:
    from shared.adapters.key_vault import VaultKey
    from shared.adapters.key_wrapping import KeyChoice
    from shared.adapters.open_data_keys import OpenDataKeys
    from shared.adapters.tables.sealed_rows import TableSealedRows

MSAL_THREADS = 32
# A login waits most of its time; a tick may have many of them to make.
IMAP_THREADS = 16
DATA_KEYS = "DataKeys"
# All that there are: a rotation walks through each of them.
TABLES = (
    "Principals",
    "Accounts",
    "Registrations",
    "Agenda",
    "Breakers",
    "Statistics",
    "Limits",
    "ApiTokens",
    "OAuthApps",
    "Webhooks",
    "Deliveries",
    DATA_KEYS,
)


@dataclass(frozen=True)
class Connections:
    """Built bit by bit: a client connects when somebody first needs it."""

    settings: Settings
    clock: Clock
    entropy: Entropy
    jitter: Jitter

    @cached_property
    def storage(self) -> TableServiceClient:
        return connect(self.settings.tables, self.settings.managed_identity)

    def _connect(self, name: str) -> TableClient:
        return self.storage.get_table_client(name)

    def _table(self, name: str) -> Table:
        return Table(name, self._connect, self.sealer, self.entropy)

    def _rows[T](self, table: str, kind: type[T], field: str) -> TableRows[T]:
        return TableRows(self._table(table), kind, field)

    @cached_property
    def key_wrapping(self) -> "KeyChoice":
        # Imported here because indexing does without cryptography, and most deployments without one of the two.
        from shared.adapters.key_wrapping import KeyChoice, LocalKey  # noqa: PLC0415 - see above

        keys = self.settings.keys
        local = [LocalKey(key) for key in keys.local]
        return KeyChoice([*local, *self.vault_keys] if keys.local_wraps else [*self.vault_keys, *local])

    @cached_property
    def vault_keys(self) -> "Sequence[VaultKey]":
        if not self.settings.keys.vault:
            return ()
        from shared.adapters.key_vault import VaultKey  # noqa: PLC0415 - as above

        settings = self.settings
        return [VaultKey(key, settings.managed_identity, settings.ca_file) for key in settings.keys.vault]

    @cached_property
    def data_keys(self) -> "OpenDataKeys":
        from shared.adapters.open_data_keys import OpenDataKeys  # noqa: PLC0415 - as above

        # The table of wrapped keys holds nothing to seal, so its sealer is never asked.
        keys = TableDataKeys(Table(DATA_KEYS, self._connect, None, self.entropy))
        return OpenDataKeys(keys, self.key_wrapping, self.clock, self.entropy, self.settings.keys.every)

    @cached_property
    def sealer(self) -> Sealer:
        from shared.adapters.sealing import AesSealer  # noqa: PLC0415 - as above

        return AesSealer(self.data_keys, self.entropy)

    @cached_property
    def sealed_rows(self) -> "TableSealedRows":
        from shared.adapters.tables.sealed_rows import TableSealedRows  # noqa: PLC0415 - only a rotation needs it

        return TableSealedRows([table for table in TABLES if table != DATA_KEYS], self._connect, self.sealer)

    @cached_property
    def principals(self) -> TablePrincipals:
        return TablePrincipals(self._table("Principals"))

    @cached_property
    def directory(self) -> TableRows[DirectoryEntry]:
        return self._rows("Accounts", DirectoryEntry, "account")

    @cached_property
    def registrations(self) -> TableRegistrations:
        return TableRegistrations(self._table("Registrations"))

    @cached_property
    def api_tokens(self) -> TableApiTokens:
        return TableApiTokens(Table("ApiTokens", self._connect, None, self.entropy))  # it holds nothing to seal

    @cached_property
    def agenda(self) -> TableAgenda:
        return TableAgenda(self._table("Agenda"), self.settings.agenda_shards)

    @cached_property
    def handovers(self) -> TableRows[Handover]:
        return self._rows("Agenda", Handover, "shard")

    @cached_property
    def breakers(self) -> TableRows[Breaker]:
        return self._rows("Breakers", Breaker, "app")

    @cached_property
    def warned(self) -> TableRows[Warned]:
        return self._rows("Breakers", Warned, "id")

    @cached_property
    def outbox(self) -> Outbox:
        return Outbox(self.agenda, self.clock, self.entropy)

    @cached_property
    def outboxes(self) -> TableOutboxes:
        tables = {Origin.PRINCIPAL: "Principals", Origin.REGISTRATION: "Registrations", Origin.OAUTH_APP: "Breakers"}
        return TableOutboxes({origin: self._table(name) for origin, name in tables.items()})

    @cached_property
    def webhooks(self) -> TableWebhooks:
        return TableWebhooks(self._table("Webhooks"))

    @cached_property
    def deliveries(self) -> TableDeliveries:
        return TableDeliveries(self._table("Deliveries"))

    @cached_property
    def leases(self) -> TableRows[Lease]:
        return self._rows("Agenda", Lease, "name")

    @cached_property
    def targets(self) -> WebhookTargets:
        return WebhookTargets(self.settings.ca_file, self.settings.webhooks_loopback)

    @cached_property
    def buckets(self) -> TableBuckets:
        return TableBuckets(self._table("Limits"))

    @cached_property
    def limit_salts(self) -> TableRows[LimitSalt]:
        return self._rows("Limits", LimitSalt, "day")

    @cached_property
    def counters(self) -> TableRows[Counters]:
        return self._rows("Statistics", Counters, "name")

    @cached_property
    def ticks(self) -> TableRows[Tick]:
        return self._rows("Statistics", Tick, "name")

    @cached_property
    def sweeps(self) -> TableRows[Sweep]:
        return self._rows("Statistics", Sweep, "name")

    @cached_property
    def shard_queue(self) -> StorageShardQueue:
        return StorageShardQueue(self.settings.queues, self.settings.managed_identity)

    @cached_property
    def oauth_apps(self) -> TableOAuthApps:
        return TableOAuthApps(self._table("OAuthApps"))

    @cached_property
    def clouds(self) -> Mapping[str, Cloud]:
        return clouds_around(self.settings.cloud)

    @cached_property
    def apps(self) -> KnownApps:
        return KnownApps(self.oauth_apps, self.settings.seed, self.clouds, self.clock)

    @cached_property
    def msal(self) -> MsalEntra:
        return MsalEntra(self.redirect_uri, self.settings.ca_file, MSAL_THREADS, self.clock)

    @cached_property
    def entra(self) -> GuardedEntra:
        return GuardedEntra(self.msal, self.breakers, self.outbox, self.clock)

    @cached_property
    def entra_callers(self) -> EntraCallers | None:
        settings, trust = self.settings, self.settings.entra_trust
        if trust is None:
            return None
        # Imported here because an app whose callers have API tokens does without.
        from shared.adapters.entra_callers import EntraCallerTokens  # noqa: PLC0415 - see above

        return EntraCallerTokens(trust, settings.cloud.authority, settings.ca_file, self.clock)

    @cached_property
    def graph(self) -> HttpGraph:
        return HttpGraph(self.settings.ca_file)

    @cached_property
    def imap(self) -> ImapProbe:
        return ImapProbe(self.settings.ca_file, IMAP_THREADS)

    @cached_property
    def probes(self) -> MailboxProbes:
        return {Resource.GRAPH: self.graph, Resource.OUTLOOK: self.imap}

    @property
    def redirect_uri(self) -> str:
        """Where Entra sends people back to; it must be registered exactly so."""
        return f"{self.settings.base_url}/oauth"

    async def close(self) -> None:
        """End all connections."""
        self.msal.close()
        for key in self.vault_keys:
            await key.close()
        await self.graph.close()
        self.imap.close()
        await self.targets.close()
        await self.shard_queue.close()
        await self.storage.close()
