"""Seal and unseal: AES-256-GCM under a key of its own for each record."""

import base64
import binascii
import hashlib
import re
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import Never

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.adapters.open_data_keys import KEY, OpenDataKeys
from shared.domain.errors import KeyUnavailable, SealBroken
from shared.domain.secret import SealedSecret, Secret
from shared.ports import Entropy

VERSION = "v1"
NONCE = 12  # bytes, as AES-GCM takes them best (NIST SP 800-38D section 5.2.1.1)
HOT = 4096  # values that are read again and again: their keys are derived once
_ciphers: OrderedDict[bytes, AESGCM] = OrderedDict()
SEALED = re.compile(VERSION + r"\.([0-9a-f]{20})\.([A-Za-z0-9_-]+=*)")
NAMED_KEY = re.compile(r"v[0-9]+\.([0-9a-f]{20})\.")


def named_data_key(sealed: object) -> str | None:
    """The id of the data key that a sealed value names, in this version or another one; None when it names none."""
    found = NAMED_KEY.match(sealed) if isinstance(sealed, str) else None
    return found[1] if found else None


@dataclass(frozen=True, slots=True)
class AesSealer:
    """Sealed text is `v1.{data key id}.{base64url of nonce and ciphertext}`.

    The record's key comes from the data key by HKDF (RFC 5869) over the record's identity, which is the associated data
    too: a sealed value that is moved to another row does not open there.
    """

    keys: OpenDataKeys
    entropy: Entropy

    async def seal(self, identity: str, secret: Secret) -> str:
        """Seal under the newest data key; the first call ever makes one."""
        key_id, key = await self.keys.sealing()
        nonce = self.entropy(NONCE)
        sealed = _cipher(key, identity).encrypt(nonce, secret.reveal().encode(), identity.encode())
        return f"{VERSION}.{key_id}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    async def unseal(self, identity: str, sealed: str) -> Secret:
        """Open what was sealed for this identity, or raise SealBroken."""
        return Secret((await self.closed(identity, sealed)).reveal())

    async def closed(self, identity: str, sealed: str) -> Secret:
        """What was sealed for this identity, to be opened when it is revealed; its data key is opened now."""
        found = SEALED.fullmatch(sealed)
        if found is None:
            return SealedSecret(partial(_refuse, "not a sealed value"), identity, sealed)
        key_id, body = found.groups()
        try:
            key = await self.keys.opened(key_id)
        except SealBroken as broken:
            return SealedSecret(partial(_refuse, broken.why), identity, sealed)
        except KeyUnavailable as error:
            return SealedSecret(partial(_unavailable, type(error)), identity, sealed)
        return SealedSecret(partial(_open, key, identity, body), identity, sealed)


def _open(key: bytes, identity: str, body: str) -> str:
    try:
        data = base64.b64decode(body, altchars=b"-_", validate=True)
        # Base64 has several spellings for the same bytes; only the one that was written is accepted.
        if base64.urlsafe_b64encode(data).decode() != body:
            raise SealBroken("a sealed value was changed")
        return _cipher(key, identity).decrypt(data[:NONCE], data[NONCE:], identity.encode()).decode()
    except (InvalidTag, binascii.Error, ValueError):
        raise SealBroken("a sealed value does not open for this identity") from None


def _refuse(why: str) -> Never:
    raise SealBroken(why)


def _unavailable(error: type[KeyUnavailable]) -> Never:
    raise error


def _cipher(data_key: bytes, identity: str) -> AESGCM:
    """The cipher of one record. Kept under a hash, because requests write parts of an identity, of any length."""
    name = hashlib.sha256(data_key + identity.encode()).digest()
    cipher = _ciphers.get(name)
    if cipher is None:
        cipher = AESGCM(HKDF(SHA256(), KEY, salt=None, info=identity.encode()).derive(data_key))
        _ciphers[name] = cipher
        if len(_ciphers) > HOT:
            _ciphers.popitem(last=False)
    else:
        _ciphers.move_to_end(name)
    return cipher
