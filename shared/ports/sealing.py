"""Secrets at rest, and the keys that seal them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from shared.domain.secret import DataKey, Secret
from shared.ports.storage import Stored


class DataKeys(Protocol):
    """Storage of wrapped data keys. Writes raise StaleWrite."""

    async def all(self) -> Sequence[Stored[DataKey]]:
        """Every data key, the oldest first."""

    async def add(self, data_key: DataKey) -> None: ...

    async def replace(self, stored: Stored[DataKey], data_key: DataKey) -> None: ...

    async def remove(self, stored: Stored[DataKey]) -> None: ...


class KeyWrapping(Protocol):
    """Key-encryption keys by name: the newest wraps, all unwrap. Raises KeyUnavailable."""

    async def newest(self) -> str:
        """The name of the key that wraps now, with its version."""

    async def wrap(self, data_key: bytes) -> tuple[str, bytes]:
        """The name of the key that wrapped the data key, and the wrapped data key."""

    async def unwrap(self, wrapped_by: str, wrapped: bytes) -> bytes:
        """Raises SealBroken when that key is unknown or did not wrap this."""


class DataKeyRing(Protocol):
    """The data keys, for key rotation."""

    async def listed(self) -> Sequence[DataKey]:
        """Every data key, the oldest first."""

    async def make(self) -> DataKey:
        """A new data key, which seals from now on. Other instances notice within KEY_CHECK_INTERVAL."""

    async def rewrap(self) -> tuple[int, int]:
        """Wrap older data keys with the newest key-encryption key. Returns the numbers of successes and failures."""

    async def forget(self, data_key: DataKey) -> None: ...

    async def wait_until_idle(self) -> None:
        """Wait for calls in progress."""


class SealedRow(NamedTuple):
    """A row with sealed values. `place` tells people where it is: table, partition key and row key.

    `data_keys` maps each sealed property to the data key that its value names, or None if it names none.
    """

    place: str
    version: str
    data_keys: Mapping[str, str | None]
    entity: Mapping[str, object]


class SealedRows(Protocol):
    """All sealed rows, table by table."""

    @property
    def tables(self) -> Sequence[str]: ...

    def walk(self, table: str) -> AsyncIterator[SealedRow]: ...

    async def reseal(self, table: str, row: SealedRow, names: Sequence[str]) -> Sequence[str]:
        """Seal these properties under the newest data key. Returns the names of those that cannot be unsealed.

        Raises StaleWrite when the row changed.
        """


class Sealer(Protocol):
    """Encryption bound to an identity: a value that was sealed for another one raises SealBroken."""

    async def seal(self, identity: str, secret: Secret) -> str: ...

    async def unseal(self, identity: str, sealed: str) -> Secret: ...

    async def unseal_when_used(self, identity: str, sealed: str) -> Secret:
        """As `unseal`, but decrypts when the secret is revealed, and raises SealBroken or KeyUnavailable only then."""
