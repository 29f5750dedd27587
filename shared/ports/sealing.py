"""Secrets at rest, and the keys that seal them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.domain.secret import DataKey, Secret
from shared.ports.rows import Stored


class DataKeys(Protocol):
    """Where wrapped data keys are kept. Writes raise StaleWrite as those of other rows do."""

    async def all(self) -> Sequence[Stored[DataKey]]:
        """Every data key, the oldest first."""

    async def add(self, data_key: DataKey) -> None: ...

    async def replace(self, stored: Stored[DataKey], data_key: DataKey) -> None: ...

    async def remove(self, stored: Stored[DataKey]) -> None: ...


class KeyWrapping(Protocol):
    """Key-encryption keys by their names: one wraps, all unwrap. Raises KeyUnavailable."""

    async def newest(self) -> str:
        """The name, with its version, of the key that wraps now."""

    async def wrap(self, data_key: bytes) -> tuple[str, bytes]:
        """The wrapped data key, behind the name of what wrapped it."""

    async def unwrap(self, wrapped_by: str, wrapped: bytes) -> bytes:
        """Raises SealBroken when that key is not known here or did not wrap this."""


class DataKeyRing(Protocol):
    """The data keys as an operator sees them."""

    async def listed(self) -> Sequence[DataKey]:
        """Every data key, the oldest first."""

    async def make(self) -> DataKey:
        """A new data key, which seals from now on; others notice within KEY_CHECK_INTERVAL."""

    async def rewrap(self) -> tuple[int, int]:
        """Wrap what an earlier key-encryption key wrapped with the present one: how many were, how many do not open."""

    async def forget(self, data_key: DataKey) -> None: ...

    async def settled(self) -> None:
        """Wait for calls in the background."""


@dataclass(frozen=True, slots=True)
class SealedRow:
    """A row of any table that holds sealed values. `place` is for people to find it by.

    `data_keys` are the data keys that its sealed properties name, by property; None for a value that names none.
    """

    place: str
    version: str
    data_keys: Mapping[str, str | None]
    entity: Mapping[str, object]


class SealedRows(Protocol):
    """Everything that is sealed at rest, table by table."""

    @property
    def tables(self) -> Sequence[str]: ...

    def walk(self, table: str) -> AsyncIterator[SealedRow]: ...

    async def reseal(self, table: str, row: SealedRow, names: Sequence[str]) -> Sequence[str]:
        """Seal these properties under the newest data key, and return those that do not decrypt.

        Raises StaleWrite when the row changed.
        """


class Sealer(Protocol):
    """Encryption bound to an identity: what was sealed for one does not open for another (raises SealBroken)."""

    async def seal(self, identity: str, secret: Secret) -> str: ...

    async def unseal(self, identity: str, sealed: str) -> Secret: ...

    async def closed(self, identity: str, sealed: str) -> Secret:
        """As `unseal`, but opened when it is revealed; only then it raises SealBroken or KeyUnavailable."""
