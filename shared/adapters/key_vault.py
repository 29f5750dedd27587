"""A key-encryption key in Azure Key Vault. The only file that knows azure-keyvault-keys."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError, HttpResponseError

from shared.domain.errors import KeyRefused, KeyUnavailable, SealBroken

if TYPE_CHECKING:
    from azure.keyvault.keys.aio import KeyClient

log = logging.getLogger(__name__)

REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}
# The SDK's own defaults wait for minutes; whoever waits for a token does not (azure-core, RetryPolicy).
PATIENCE: dict[str, Any] = {
    "retry_total": 2,
    "retry_backoff_factor": 0.2,
    "connection_timeout": 3,
    "read_timeout": 4,
}
# For an operation with all its calls and retries, that for a token of the managed identity among them.
DEADLINE_SECONDS = 10.0


class VaultKey:
    """An RSA key that never leaves its vault; wraps by RSA-OAEP-256.

    `identifier` is `https://{vault}/keys/{name}`, or with `/{version}` behind it to wrap with that version and no newer
    one. Every version unwraps what it wrapped. The role *Key Vault Crypto Service Encryption User* is enough. A vault
    that does not answer raises KeyUnavailable, one that says no KeyRefused.
    """

    def __init__(self, identifier: str, managed_identity: str | None, ca_file: str | None) -> None:
        parts = urlsplit(identifier)
        _, _, self._name, *version = parts.path.split("/")
        self._vault = f"https://{parts.netloc}"
        self._pinned = version[0] if version else None
        self._managed_identity = managed_identity
        self._ca_file = ca_file
        self._client: KeyClient | None = None
        self._open = AsyncExitStack()

    def wrapped(self, wrapped_by: str) -> bool:
        """Whether that is a version of this key."""
        return wrapped_by.startswith(f"{self._vault}/keys/{self._name}/")

    async def newest(self) -> str:
        """The identifier of the version that wraps."""
        async with _answering():
            return str((await self._connected().get_key(self._name, self._pinned)).id)

    async def wrap(self, data_key: bytes) -> tuple[str, bytes]:
        """Wrap, and let the vault unwrap it once: the SDK wraps with the public key alone, even a disabled one's."""
        from azure.keyvault.keys.crypto import KeyWrapAlgorithm  # noqa: PLC0415 - only a new data key needs it

        async with _answering():
            wrapped_by = await self.newest()
            version = wrapped_by.rpartition("/")[2]
            crypto = self._connected().get_cryptography_client(self._name, key_version=version)
            wrapped = (await crypto.wrap_key(KeyWrapAlgorithm.rsa_oaep_256, data_key)).encrypted_key
            if await self.unwrap(wrapped_by, wrapped) != data_key:
                raise KeyRefused
        return wrapped_by, wrapped

    async def unwrap(self, wrapped_by: str, wrapped: bytes) -> bytes:
        """Let the vault unwrap with the version that wrapped. Raises SealBroken when it did not."""
        from azure.keyvault.keys.crypto import KeyWrapAlgorithm  # noqa: PLC0415 - once for each data key and process

        async with _answering():
            version = wrapped_by.rpartition("/")[2]
            crypto = self._connected().get_cryptography_client(self._name, key_version=version)
            return (await crypto.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, wrapped)).key

    async def close(self) -> None:
        """End all connections."""
        await self._open.aclose()

    def _connected(self) -> "KeyClient":
        if self._client is None:
            # Imported here because a process needs the vault a few times in its life.
            from azure.core.pipeline.transport import AioHttpTransport  # noqa: PLC0415 - see above
            from azure.keyvault.keys.aio import KeyClient  # noqa: PLC0415 - see above

            from shared.adapters.managed_identity import managed_identity  # noqa: PLC0415 - see above

            credential = managed_identity(self._managed_identity, **PATIENCE)
            trust = self._ca_file or True
            transport = AioHttpTransport(use_env_settings=False, connection_verify=trust, **PATIENCE)
            self._client = KeyClient(self._vault, credential, transport=transport, **PATIENCE)
            self._open.push_async_callback(credential.close)
            self._open.push_async_callback(self._client.close)
        return self._client


@asynccontextmanager
async def _answering() -> AsyncIterator[None]:
    """Set the deadline, turn the SDK's errors into ours (Key Vault: REST API error codes), and log which it was."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            yield
    except HttpResponseError as error:
        code = error.error.code if error.error else None
        log.warning("key vault refused", extra={"status": error.status_code, "code": code})
        if error.status_code == HTTPStatus.BAD_REQUEST:
            raise SealBroken("the key in the vault did not wrap this data key") from None
        raise (KeyRefused if error.status_code in REFUSED else KeyUnavailable) from None
    except (AzureError, ValueError, TimeoutError) as error:  # ValueError: what answers is not the vault that was named
        log.warning("key vault unavailable", extra={"error": type(error).__name__})
        raise KeyUnavailable from None
