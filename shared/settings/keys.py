"""Settings of the keys that secrets are sealed under."""

import base64
import re
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from shared.domain.secret import Secret
from shared.settings.reader import Reader, is_https

BYTES = 32
# Key Vault: about keys, "object identifiers".
KEY_PATH = re.compile(r"/keys/[A-Za-z0-9-]{1,127}(/[0-9a-f]{32})?")


@dataclass(frozen=True, slots=True)
class KeySettings:
    """Key-encryption keys: identifiers in Azure Key Vault, and local ones.

    What wraps is the first vault key, or else the first local key; all of them unwrap. `every` is for how long a data
    key seals before the next one is made.
    """

    vault: tuple[str, ...]
    local: tuple[Secret, ...]
    every: timedelta
    local_wraps: bool


def read_keys(read: Reader) -> KeySettings:
    """The keys, of which one has to be there that wraps."""
    vault, vault_before = (
        _vault_key(read, "MAILBIND_KEY_VAULT_KEY"),
        _vault_key(read, "MAILBIND_KEY_VAULT_KEY_PREVIOUS"),
    )
    local, local_before = _local_key(read, "MAILBIND_SEALING_KEY"), _local_key(read, "MAILBIND_SEALING_KEY_PREVIOUS")
    if not any(read.text(name, "") for name in ("MAILBIND_KEY_VAULT_KEY", "MAILBIND_SEALING_KEY")):
        read.faults.append(
            "MAILBIND_SEALING_KEY is missing, and so is MAILBIND_KEY_VAULT_KEY, which may take its place"
        )
    return KeySettings(
        vault=tuple(key for key in (vault, vault_before) if key),
        local=tuple(Secret(key) for key in (local, local_before) if key),
        every=timedelta(days=read.number("MAILBIND_DATA_KEY_DAYS", 90, 3650)),
        local_wraps=not vault,
    )


def _local_key(read: Reader, name: str) -> str:
    return read.checked(name, _is_key, "32 bytes in base64", "")


def _vault_key(read: Reader, name: str) -> str:
    return read.checked(name, _is_vault_key, "a key identifier such as https://…vault.azure.net/keys/mailbind", "")


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == BYTES
    except ValueError:
        return False


def _is_vault_key(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:  # half an IPv6 address
        return False
    origin = f"{parts.scheme}://{parts.netloc}"
    return is_https(origin) and KEY_PATH.fullmatch(parts.path) is not None and text == origin + parts.path
