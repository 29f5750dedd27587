"""Seals and unseals secrets with AES-256-GCM, under a separate key for each record."""

import base64
import binascii
import hashlib
import re
from collections import OrderedDict
from functools import partial
from typing import Never

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.adapters.open_data_keys import KEY_BYTES, OpenDataKeys
from shared.domain.errors import KeyUnavailable, SealBroken
from shared.domain.secret import SealedSecret, Secret
from shared.ports import Entropy

VERSION = "v1"
NONCE_BYTES = 12  # as AES-GCM recommends (NIST SP 800-38D section 5.2.1.1)
MAX_CACHED_CIPHERS = 4096
_ciphers: OrderedDict[bytes, AESGCM] = OrderedDict()
SEALED_PATTERN = re.compile(VERSION + r"\.([0-9a-f]{20})\.([A-Za-z0-9_-]+=*)")
NAMED_KEY_PATTERN = re.compile(r"v[0-9]+\.([0-9a-f]{20})\.")


def named_data_key(sealed: object) -> str | None:
    """The id of the data key in a sealed value of any version, or None."""
    match = NAMED_KEY_PATTERN.match(sealed) if isinstance(sealed, str) else None
    return match[1] if match else None


class AesSealer:
    """A sealed value is `v1.{data key id}.{base64url of nonce and ciphertext}`.

    The record's key is derived from the data key by HKDF (RFC 5869) over the record's identity, which is also the
    associated data. So a sealed value that is moved to another row cannot be unsealed there.
    """

    def __init__(self, keys: OpenDataKeys, entropy: Entropy) -> None:
        self._keys = keys
        self._entropy = entropy

    async def seal(self, identity: str, secret: Secret) -> str:
        """Seal under the newest data key. The very first call creates one."""
        key_id, key = await self._keys.sealing()
        nonce = self._entropy(NONCE_BYTES)
        sealed = _cipher(key, identity).encrypt(nonce, secret.reveal().encode(), identity.encode())
        return f"{VERSION}.{key_id}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    async def unseal(self, identity: str, sealed: str) -> Secret:
        """Unseal a value that was sealed for this identity. Raises SealBroken and KeyUnavailable."""
        return Secret((await self.unseal_when_used(identity, sealed)).reveal())

    async def unseal_when_used(self, identity: str, sealed: str) -> Secret:
        """A secret that is unsealed when it is revealed. Its data key is unwrapped now."""
        match = SEALED_PATTERN.fullmatch(sealed)
        if match is None:
            return SealedSecret(partial(_refuse, "not a sealed value"), identity, sealed)
        key_id, body = match.groups()
        try:
            key = await self._keys.opened(key_id)
        except SealBroken as broken:
            return SealedSecret(partial(_refuse, broken.why), identity, sealed)
        except KeyUnavailable as error:
            return SealedSecret(partial(_unavailable, type(error)), identity, sealed)
        return SealedSecret(partial(_open, key, identity, body), identity, sealed)


def _open(key: bytes, identity: str, body: str) -> str:
    try:
        data = base64.b64decode(body, altchars=b"-_", validate=True)
        # Base64 has several spellings for the same bytes. Only the one that was written is accepted.
        if base64.urlsafe_b64encode(data).decode() != body:
            raise SealBroken("a sealed value was changed")
        return _cipher(key, identity).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], identity.encode()).decode()
    except (InvalidTag, binascii.Error, ValueError):
        raise SealBroken("a sealed value does not open for this identity") from None


def _refuse(why: str) -> Never:
    raise SealBroken(why)


def _unavailable(error: type[KeyUnavailable]) -> Never:
    raise error


def _cipher(data_key: bytes, identity: str) -> AESGCM:
    """The cipher of a record. The cache key is a hash, because parts of an identity come from requests."""
    name = hashlib.sha256(data_key + identity.encode()).digest()
    cipher = _ciphers.get(name)
    if cipher is None:
        cipher = AESGCM(HKDF(SHA256(), KEY_BYTES, salt=None, info=identity.encode()).derive(data_key))
        _ciphers[name] = cipher
        if len(_ciphers) > MAX_CACHED_CIPHERS:
            _ciphers.popitem(last=False)
    else:
        _ciphers.move_to_end(name)
    return cipher
