"""Table Storage, and the keys that seal what lies in it."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from azure.data.tables.aio import TableClient, TableServiceClient

from shared.adapters.tables.connection import connect
from shared.adapters.tables.data_keys import TableDataKeys
from shared.adapters.tables.rows import TableRows
from shared.adapters.tables.table import Table
from shared.ports import Clock, Entropy, Jitter, Sealer
from shared.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.adapters.key_vault import VaultKey
    from shared.adapters.key_wrapping import KeyChoice
    from shared.adapters.open_data_keys import OpenDataKeys
    from shared.adapters.tables.sealed_rows import TableSealedRows

DATA_KEYS = "DataKeys"
# All that there are.
TABLES = (
    "Principals",
    "Accounts",
    "Registrations",
    "Agenda",
    "Breakers",
    "Statistics",
    "Limits",
    "ApiTokens",
    "CallingApplications",
    "OAuthApps",
    "Webhooks",
    "Deliveries",
    DATA_KEYS,
)


@dataclass(frozen=True)
class SealedStorage:
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

    def _rows[T](self, table: str, kind: type[T], field: str, *, disposable: bool = True) -> TableRows[T]:
        return TableRows(self._table(table), kind, field, disposable=disposable)

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
        every = self.settings.keys.every
        return OpenDataKeys(keys, self.key_wrapping, self.clock, self.entropy, self.jitter, every)

    @cached_property
    def sealer(self) -> Sealer:
        from shared.adapters.sealing import AesSealer  # noqa: PLC0415 - as above

        return AesSealer(self.data_keys, self.entropy)

    @cached_property
    def sealed_rows(self) -> "TableSealedRows":
        from shared.adapters.tables.sealed_rows import TableSealedRows  # noqa: PLC0415 - only a rotation needs it

        return TableSealedRows(self._connect, self.sealer)
