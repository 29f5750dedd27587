"""The queue of shards that are handed over. The only file that knows azure-storage-queue."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from shared.domain.errors import StorageUnavailable
from shared.domain.secret import Secret

if TYPE_CHECKING:
    from azure.storage.queue.aio import QueueClient, QueueServiceClient

QUEUE = "mailbind-shards"
# Where the Functions host moves a message after its last try (Azure Functions, queue trigger: poison messages).
POISON_QUEUE = f"{QUEUE}-poison"
# Newer than anything used here, and known to the emulator too.
API_VERSION = "2025-11-05"


@dataclass(slots=True)
class StorageShardQueue:
    """Messages are JSON in base64, as the queue trigger expects them."""

    storage: Secret
    managed_identity: str | None
    _service: "QueueServiceClient | None" = None

    async def send(self, shard: str, due_by: datetime) -> None:
        """Put a shard on the queue, which is made when it is missing. Raises StorageUnavailable."""
        from azure.core.exceptions import AzureError, ResourceNotFoundError  # noqa: PLC0415 - only a backlog needs it

        message = msgspec.json.encode({"shard": shard, "due_by": due_by}).decode()
        client = self._client(QUEUE)
        try:
            try:
                await client.send_message(message)
            except ResourceNotFoundError:
                await client.create_queue()
                await client.send_message(message)
        except AzureError as error:
            raise StorageUnavailable from error

    async def poisoned(self) -> int:
        """Count the messages that failed for good, in one request. Raises StorageUnavailable."""
        from azure.core.exceptions import AzureError, ResourceNotFoundError  # noqa: PLC0415 - as above

        try:
            properties = await self._client(POISON_QUEUE).get_queue_properties()
        except ResourceNotFoundError:
            return 0  # the host makes the queue with the first such message
        except AzureError as error:
            raise StorageUnavailable from error
        return properties.approximate_message_count or 0

    async def close(self) -> None:
        """End all connections."""
        if self._service is not None:
            await self._service.close()

    def _client(self, queue: str) -> "QueueClient":
        from azure.storage.queue import TextBase64EncodePolicy  # noqa: PLC0415 - as above

        return self._connected().get_queue_client(queue, message_encode_policy=TextBase64EncodePolicy())

    def _connected(self) -> "QueueServiceClient":
        if self._service is None:
            # Imported here because only a backlog and the timer of registrations need it.
            from azure.core.pipeline.transport import AioHttpTransport  # noqa: PLC0415 - see above
            from azure.storage.queue.aio import QueueServiceClient  # noqa: PLC0415 - see above

            where = self.storage.reveal()
            options: dict[str, Any] = {
                "transport": AioHttpTransport(use_env_settings=False),
                "api_version": API_VERSION,
            }
            if not where.startswith("https://"):
                self._service = QueueServiceClient.from_connection_string(where, **options)
            else:
                from shared.adapters.managed_identity import managed_identity  # noqa: PLC0415 - see above

                credential = managed_identity(self.managed_identity)
                self._service = QueueServiceClient(where, credential=credential, **options)
        return self._service
