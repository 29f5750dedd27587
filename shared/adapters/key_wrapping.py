"""Key-encryption keys: a local one from settings, and the choice between all that are set up."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from shared.domain.errors import SealBroken
from shared.domain.formats import fingerprint
from shared.domain.secret import Secret
from shared.ports import KeyWrapping


class KeyEncryptionKey(KeyWrapping, Protocol):
    """One key, in all its versions."""

    def wrapped(self, wrapped_by: str) -> bool:
        """Whether that name is of a version of this key."""


class LocalKey:
    """A key-encryption key from settings; wraps by AES key wrap (RFC 3394)."""

    def __init__(self, key: Secret) -> None:
        self._key = base64.b64decode(key.reveal())
        self._name = f"local-{fingerprint(key)[:16]}"

    def wrapped(self, wrapped_by: str) -> bool:
        """A local key has one version."""
        return wrapped_by == self._name

    async def newest(self) -> str:
        """The name: it follows from the key, and tells nothing of it."""
        return self._name

    async def wrap(self, data_key: bytes) -> tuple[str, bytes]:
        """Wrap a data key."""
        return self._name, aes_key_wrap(self._key, data_key)

    async def unwrap(self, wrapped_by: str, wrapped: bytes) -> bytes:
        """Unwrap a data key. Raises SealBroken when another key wrapped it."""
        try:
            return aes_key_unwrap(self._key, wrapped)
        except InvalidUnwrap:
            raise SealBroken(f"the key in settings did not wrap what names {wrapped_by}") from None


@dataclass(frozen=True, slots=True)
class KeyChoice:
    """The first key wraps; the others unwrap what they wrapped before it came.

    Only keys of the settings are asked: a row that names another vault's key sends nobody there.
    """

    keys: Sequence[KeyEncryptionKey]

    async def newest(self) -> str:
        """The name of the first key's newest version."""
        return await self.keys[0].newest()

    async def wrap(self, data_key: bytes) -> tuple[str, bytes]:
        """Wrap with the first key."""
        return await self.keys[0].wrap(data_key)

    async def unwrap(self, wrapped_by: str, wrapped: bytes) -> bytes:
        """Unwrap with the key that is named. Raises SealBroken when the settings do not have it."""
        for key in self.keys:
            if key.wrapped(wrapped_by):
                return await key.unwrap(wrapped_by, wrapped)
        raise SealBroken("no key in the settings is the one that wrapped this data key")
