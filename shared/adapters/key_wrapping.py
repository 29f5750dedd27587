"""Key-encryption keys, which wrap data keys: local ones from the settings, and RSA keys in Azure Key Vault.

The only file that knows azure-keyvault-keys.
"""

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError, HttpResponseError
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from shared.adapters.connection_faults import ConnectionFaults
from shared.domain.errors import KeyRefused, KeySetupWrong, KeyUnavailable, SealBroken
from shared.domain.failure import KEY_VAULT_SETUP
from shared.domain.formats import fingerprint
from shared.domain.secret import Secret
from shared.ports import KeyWrapping

if TYPE_CHECKING:
    from azure.keyvault.keys.aio import KeyClient

log = logging.getLogger(__name__)

REFUSAL_STATUSES = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}
# With the SDK's defaults, a caller who needs a token would wait for minutes (azure-core, RetryPolicy).
VAULT_CLIENT_OPTIONS: dict[str, Any] = {
    "retry_total": 2,
    "retry_backoff_factor": 0.2,
    "connection_timeout": 3,
    "read_timeout": 4,
}
# For one operation with all its requests and retries, including the one for a token of the managed identity.
VAULT_TIMEOUT_SECONDS = 10.0


class KeyEncryptionKey(KeyWrapping, Protocol):
    """One key, in all its versions."""

    def has_wrapped(self, wrapped_by: str) -> bool:
        """Whether `wrapped_by` names a version of this key."""


class KeyChoice:
    """Wraps with the first key. The others unwrap what they wrapped earlier.

    Only keys from the settings are used, so a stored row cannot send a data key to another vault.
    """

    def __init__(self, keys: Sequence[KeyEncryptionKey]) -> None:
        self._keys = keys

    async def newest(self) -> str:
        """The name of the first key's newest version."""
        return await self._keys[0].newest()

    async def wrap(self, data_key: bytes) -> tuple[str, bytes]:
        """Wrap with the first key."""
        return await self._keys[0].wrap(data_key)

    async def unwrap(self, wrapped_by: str, wrapped: bytes) -> bytes:
        """Unwrap with the named key. Raises SealBroken when it is not in the settings."""
        for key in self._keys:
            if key.has_wrapped(wrapped_by):
                return await key.unwrap(wrapped_by, wrapped)
        raise SealBroken("the settings do not contain the key that wrapped this data key")


class LocalKey:
    """A key-encryption key from the settings. It wraps by AES key wrap (RFC 3394)."""

    def __init__(self, key: Secret) -> None:
        self._key = base64.b64decode(key.reveal())
        self._name = f"local-{fingerprint(key)[:16]}"

    def has_wrapped(self, wrapped_by: str) -> bool:
        """Whether the name is this key's. A local key has one version."""
        return wrapped_by == self._name

    async def newest(self) -> str:
        """The name. It is derived from the key and reveals nothing about it."""
        return self._name

    async def wrap(self, data_key: bytes) -> tuple[str, bytes]:
        """Wrap a data key."""
        return self._name, aes_key_wrap(self._key, data_key)

    async def unwrap(self, wrapped_by: str, wrapped: bytes) -> bytes:
        """Unwrap a data key. Raises SealBroken when another key wrapped it."""
        try:
            return aes_key_unwrap(self._key, wrapped)
        except InvalidUnwrap:
            raise SealBroken(f"the key in the settings did not wrap the data key that names {wrapped_by}") from None


class VaultKey:
    """An RSA key that never leaves its vault. It wraps by RSA-OAEP-256.

    `identifier` is `https://{vault}/keys/{name}`; with `/{version}` appended, only that version wraps. Every version
    unwraps what it wrapped. The role *Key Vault Crypto Service Encryption User* is sufficient. Raises KeyUnavailable
    when the vault does not respond, and KeyRefused when it refuses.
    """

    def __init__(
        self, identifier: str, managed_identity: str | None, ca_file: str | None, faults: ConnectionFaults
    ) -> None:
        parts = urlsplit(identifier)
        _, _, self._name, *version = parts.path.split("/")
        self._vault = f"https://{parts.netloc}"
        self._pinned_version = version[0] if version else None
        self._managed_identity = managed_identity
        self._ca_file = ca_file
        self._faults = faults
        self._client: KeyClient | None = None
        self._open = AsyncExitStack()

    def has_wrapped(self, wrapped_by: str) -> bool:
        """Whether the identifier is of a version of this key."""
        return wrapped_by.startswith(f"{self._vault}/keys/{self._name}/")

    async def newest(self) -> str:
        """The identifier of the version that wraps."""
        async with self._errors_translated():
            return str((await self._open_client().get_key(self._name, self._pinned_version)).id)

    async def wrap(self, data_key: bytes) -> tuple[str, bytes]:
        """Wrap a data key, and let the vault unwrap it once.

        The SDK wraps locally with the public key, even if the key is disabled. The unwrapping proves that it works.
        """
        from azure.keyvault.keys.crypto import KeyWrapAlgorithm  # noqa: PLC0415 - only a new data key needs it

        async with self._errors_translated():
            wrapped_by = await self.newest()
            version = wrapped_by.rpartition("/")[2]
            crypto = self._open_client().get_cryptography_client(self._name, key_version=version)
            wrapped = (await crypto.wrap_key(KeyWrapAlgorithm.rsa_oaep_256, data_key)).encrypted_key
            if await self.unwrap(wrapped_by, wrapped) != data_key:
                raise KeyRefused
        return wrapped_by, wrapped

    async def unwrap(self, wrapped_by: str, wrapped: bytes) -> bytes:
        """Unwrap with the version that wrapped. Raises SealBroken when this key did not wrap it."""
        from azure.keyvault.keys.crypto import KeyWrapAlgorithm  # noqa: PLC0415 - once for each data key and process

        async with self._errors_translated():
            version = wrapped_by.rpartition("/")[2]
            crypto = self._open_client().get_cryptography_client(self._name, key_version=version)
            return (await crypto.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, wrapped)).key

    async def close(self) -> None:
        """Close all connections."""
        await self._open.aclose()

    def _open_client(self) -> "KeyClient":
        if self._client is None:
            # Imported here because most deployments have no vault.
            from azure.core.pipeline.transport import AioHttpTransport  # noqa: PLC0415 - see above
            from azure.keyvault.keys.aio import KeyClient  # noqa: PLC0415 - see above

            from shared.adapters.managed_identity import managed_identity  # noqa: PLC0415 - see above

            credential = managed_identity(self._managed_identity, **VAULT_CLIENT_OPTIONS)
            trust = self._ca_file or True
            transport = AioHttpTransport(use_env_settings=False, connection_verify=trust, **VAULT_CLIENT_OPTIONS)
            self._client = KeyClient(self._vault, credential, transport=transport, **VAULT_CLIENT_OPTIONS)
            self._open.push_async_callback(credential.close)
            self._open.push_async_callback(self._client.close)
        return self._client

    @asynccontextmanager
    async def _errors_translated(self) -> AsyncIterator[None]:
        """Set the timeout, and convert the SDK's errors to ours (Key Vault: REST API error codes)."""
        try:
            async with asyncio.timeout(VAULT_TIMEOUT_SECONDS):
                yield
        except HttpResponseError as error:
            raise self._refusal(error) from None
        # OSError: a time-out, or a CA file that cannot be read. ValueError: the response is not from a key vault.
        except (AzureError, OSError, ValueError) as error:
            if self._faults.is_ours(KEY_VAULT_SETUP, self._vault, error):
                raise KeySetupWrong from None
            log.warning("key vault unavailable", extra={"error": type(error).__name__})
            raise KeyUnavailable from None
        else:
            self._faults.succeeded(KEY_VAULT_SETUP, self._vault)

    def _refusal(self, error: HttpResponseError) -> KeyUnavailable | SealBroken:
        self._faults.succeeded(KEY_VAULT_SETUP, self._vault)
        code = error.error.code if error.error else None
        log.warning("key vault refused", extra={"status": error.status_code, "code": code})
        if error.status_code == HTTPStatus.BAD_REQUEST:
            return SealBroken("the key in the vault did not wrap this data key")
        return KeyRefused() if error.status_code in REFUSAL_STATUSES else KeyUnavailable()
