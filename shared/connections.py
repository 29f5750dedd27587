"""Connections to everything outside, and the tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from azure.data.tables.aio import TableClient, TableServiceClient

from shared.adapters.entra import MsalEntra
from shared.adapters.graph import HttpGraph
from shared.adapters.shard_queue import StorageShardQueue
from shared.adapters.tables.agenda import TableAgenda
from shared.adapters.tables.connection import connect
from shared.adapters.tables.data_keys import TableDataKeys
from shared.adapters.tables.principals import TablePrincipals
from shared.adapters.tables.rows import TableApiTokens, TableRegistrations, TableRows
from shared.adapters.tables.table import Table
from shared.domain.breaker import Breaker
from shared.domain.handover import Handover
from shared.domain.oauth_app import OAuthApp
from shared.domain.statistics import Counters, Sweep, Tick
from shared.ports import Clock, DirectoryEntry, EntraCallers, Entropy, Jitter, Sealer
from shared.settings import Settings
from shared.usecases.guarded_entra import GuardedEntra

MSAL_THREADS = 32


@dataclass(frozen=True)
class OneApp:
    """The OAuth app of the settings."""

    app: OAuthApp

    def get(self, app: str | None) -> OAuthApp | None:
        """It, by its id or by none."""
        return self.app if app in {None, self.app.id} else None

    def all(self) -> Sequence[OAuthApp]:
        """It alone."""
        return [self.app]


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
    def sealer(self) -> Sealer:
        # Imported here because indexing does without cryptography.
        from shared.adapters.sealing import AesSealer, LocalKey  # noqa: PLC0415 - see above

        # The table of wrapped keys holds nothing to seal, so its sealer is never asked.
        keys = TableDataKeys(Table("DataKeys", self._connect, None, self.entropy))
        return AesSealer(keys, LocalKey(self.settings.sealing_key), self.clock, self.entropy)

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
    def apps(self) -> OneApp:
        return OneApp(self.settings.oauth_app)

    @cached_property
    def msal(self) -> MsalEntra:
        settings = self.settings
        return MsalEntra(settings.authority_host, self.redirect_uri, settings.ca_file, MSAL_THREADS, self.clock)

    @cached_property
    def entra(self) -> GuardedEntra:
        return GuardedEntra(self.msal, self.breakers, self.clock)

    @cached_property
    def entra_callers(self) -> EntraCallers | None:
        settings, trust = self.settings, self.settings.entra_trust
        if trust is None:
            return None
        # Imported here because an app whose callers have API tokens does without.
        from shared.adapters.entra_callers import EntraCallerTokens  # noqa: PLC0415 - see above

        return EntraCallerTokens(trust, settings.authority_host, settings.ca_file, self.clock)

    @cached_property
    def graph(self) -> HttpGraph:
        return HttpGraph(self.settings.graph_root, self.settings.ca_file)

    @property
    def redirect_uri(self) -> str:
        """Where Entra sends people back to; it must be registered exactly so."""
        return f"{self.settings.base_url}/oauth"

    async def close(self) -> None:
        """End all connections."""
        self.msal.close()
        await self.graph.close()
        await self.shard_queue.close()
        await self.storage.close()
