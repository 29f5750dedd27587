"""Seal and unseal: AES-256-GCM under a key of its own for each record."""

import asyncio
import base64
import binascii
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from shared.domain.data_key import DataKey
from shared.domain.errors import SealBroken
from shared.domain.keys import fingerprint
from shared.domain.secret import Secret
from shared.ports import Clock, DataKeys, Entropy, KeyWrapping

VERSION = "v1"
NONCE = 12  # bytes, as AES-GCM takes them best (NIST SP 800-38D section 5.2.1.1)
KEY = 32


class LocalKey:
    """A key-encryption key from settings; wraps by AES key wrap (RFC 3394)."""

    def __init__(self, key: Secret) -> None:
        self._key = base64.b64decode(key.reveal())
        self.name = f"local-{fingerprint(key)[:16]}"

    async def wrap(self, data_key: bytes) -> bytes:
        """Wrap a data key."""
        return aes_key_wrap(self._key, data_key)

    async def unwrap(self, wrapped: bytes) -> bytes:
        """Unwrap a data key. Raises SealBroken when another key wrapped it."""
        try:
            return aes_key_unwrap(self._key, wrapped)
        except InvalidUnwrap:
            raise SealBroken("the key in settings did not wrap this data key") from None


@dataclass(slots=True)
class AesSealer:
    """Sealed text is `v1.{data key id}.{base64url of nonce and ciphertext}`.

    The record's key comes from the data key by HKDF (RFC 5869) over the record's identity, which is the associated data
    too: a sealed value that is moved to another row does not open there.
    """

    keys: DataKeys
    wrapping: KeyWrapping
    clock: Clock
    entropy: Entropy
    _open: dict[str, bytes] = field(default_factory=dict)
    _newest: str | None = None
    _loading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def seal(self, identity: str, secret: Secret) -> str:
        """Seal under the newest data key; the first call ever makes one."""
        if self._newest is None:
            await self._load()
        key_id = self._newest or await self._make()
        nonce = self.entropy(NONCE)
        sealed = _cipher(self._open[key_id], identity).encrypt(nonce, secret.reveal().encode(), identity.encode())
        return f"{VERSION}.{key_id}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    async def unseal(self, identity: str, sealed: str) -> Secret:
        """Open what was sealed for this identity, or raise SealBroken."""
        version, _, rest = sealed.partition(".")
        key_id, _, body = rest.partition(".")
        if version != VERSION:
            raise SealBroken("not a sealed value")
        if key_id not in self._open:
            await self._load()
        if key_id not in self._open:
            raise SealBroken("the data key of a sealed value is gone")
        try:
            data = base64.b64decode(body, altchars=b"-_", validate=True)
            # Base64 has several spellings for the same bytes; only the one that was written is accepted.
            if base64.urlsafe_b64encode(data).decode() != body:
                raise SealBroken("a sealed value was changed")
            opened = _cipher(self._open[key_id], identity).decrypt(data[:NONCE], data[NONCE:], identity.encode())
        except (InvalidTag, binascii.Error, ValueError):
            raise SealBroken("a sealed value does not open for this identity") from None
        return Secret(opened.decode())

    async def _load(self) -> None:
        async with self._loading:
            for data_key in await self.keys.all():
                if data_key.id not in self._open:
                    self._open[data_key.id] = await self.wrapping.unwrap(base64.b64decode(data_key.wrapped))
                self._newest = data_key.id

    async def _make(self) -> str:
        async with self._loading:
            if self._newest is None:
                now, key = self.clock(), self.entropy(KEY)
                wrapped = base64.b64encode(await self.wrapping.wrap(key)).decode()
                key_id = f"{int(now.timestamp() * 1000):012x}{self.entropy(4).hex()}"
                await self.keys.add(DataKey(key_id, wrapped, self.wrapping.name, now))
                self._open[key_id] = key
                self._newest = key_id
            return self._newest


def _cipher(data_key: bytes, identity: str) -> AESGCM:
    return AESGCM(HKDF(SHA256(), KEY, salt=None, info=identity.encode()).derive(data_key))
