"""The queue of shards that are handed over. The only file that knows azure-storage-queue."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from shared.domain.errors import StorageUnavailable
from shared.domain.secret import Secret

if TYPE_CHECKING:
    from azure.storage.queue.aio import QueueClient

QUEUE = "mailbind-shards"
# Newer than anything used here, and known to the emulator too.
API_VERSION = "2025-11-05"


@dataclass(slots=True)
class StorageShardQueue:
    """Messages are JSON in base64, as the queue trigger expects them."""

    storage: Secret
    managed_identity: str | None
    _client: "QueueClient | None" = None

    async def send(self, shard: str, due_by: datetime) -> None:
        """Put a shard on the queue, which is made when it is missing. Raises StorageUnavailable."""
        from azure.core.exceptions import AzureError, ResourceNotFoundError  # noqa: PLC0415 - only a backlog needs it

        message = msgspec.json.encode({"shard": shard, "due_by": due_by}).decode()
        client = self._connected()
        try:
            try:
                await client.send_message(message)
            except ResourceNotFoundError:
                await client.create_queue()
                await client.send_message(message)
        except AzureError as error:
            raise StorageUnavailable from error

    async def close(self) -> None:
        """End all connections."""
        if self._client is not None:
            await self._client.close()

    def _connected(self) -> "QueueClient":
        if self._client is None:
            # Imported here because only a backlog needs it.
            from azure.core.pipeline.transport import AioHttpTransport  # noqa: PLC0415 - see above
            from azure.storage.queue import TextBase64EncodePolicy  # noqa: PLC0415 - see above
            from azure.storage.queue.aio import QueueClient  # noqa: PLC0415 - see above

            where = self.storage.reveal()
            options: dict[str, Any] = {
                "transport": AioHttpTransport(use_env_settings=False),
                "api_version": API_VERSION,
                "message_encode_policy": TextBase64EncodePolicy(),
            }
            if not where.startswith("https://"):
                self._client = QueueClient.from_connection_string(where, QUEUE, **options)
            else:
                from shared.adapters.managed_identity import managed_identity  # noqa: PLC0415 - see above

                credential = managed_identity(self.managed_identity)
                self._client = QueueClient(where, QUEUE, credential=credential, **options)
        return self._client
