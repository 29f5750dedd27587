"""The queue of shards that are handed over to other instances. The only file that knows azure-storage-queue."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from shared.adapters.tables.service_errors import unavailable
from shared.domain.secret import Secret

if TYPE_CHECKING:
    from azure.storage.queue.aio import QueueClient, QueueServiceClient

QUEUE = "mailbind-shards"
# The Functions host moves a message there after its last try (Azure Functions, queue trigger: poison messages).
POISON_QUEUE = f"{QUEUE}-poison"
# A version that the emulator supports too.
API_VERSION = "2025-11-05"


class StorageShardQueue:
    """Messages are JSON in base64, as the queue trigger expects them.

    `storage` is a connection string, or the https address of a queue service that is used by managed identity.
    """

    def __init__(self, storage: Secret, managed_identity: str | None) -> None:
        self._storage = storage
        self._managed_identity = managed_identity
        self._service: QueueServiceClient | None = None

    async def send(self, shard: str, due_by: datetime) -> None:
        """Put a shard on the queue, which is created if it is missing. Raises StorageUnavailable."""
        from azure.core.exceptions import AzureError, ResourceNotFoundError  # noqa: PLC0415 - only needed for a backlog

        message = msgspec.json.encode({"shard": shard, "due_by": due_by}).decode()
        client = self._client(QUEUE)
        try:
            try:
                await client.send_message(message)
            except ResourceNotFoundError:
                await client.create_queue()
                await client.send_message(message)
        except AzureError as error:
            raise unavailable(error) from error

    async def poisoned(self) -> int:
        """The number of messages that failed permanently. Raises StorageUnavailable."""
        from azure.core.exceptions import AzureError, ResourceNotFoundError  # noqa: PLC0415 - as above

        try:
            properties = await self._client(POISON_QUEUE).get_queue_properties()
        except ResourceNotFoundError:
            return 0  # the host creates the queue with the first such message
        except AzureError as error:
            raise unavailable(error) from error
        return properties.approximate_message_count or 0

    async def close(self) -> None:
        """Close all connections."""
        if self._service is not None:
            await self._service.close()

    def _client(self, queue: str) -> "QueueClient":
        from azure.storage.queue import TextBase64EncodePolicy  # noqa: PLC0415 - as above

        return self._open_service().get_queue_client(queue, message_encode_policy=TextBase64EncodePolicy())

    def _open_service(self) -> "QueueServiceClient":
        if self._service is None:
            # Imported here because it is only needed for a backlog, and by the timer that counts poisoned messages.
            from azure.core.pipeline.transport import AioHttpTransport  # noqa: PLC0415 - see above
            from azure.storage.queue.aio import QueueServiceClient  # noqa: PLC0415 - see above

            storage = self._storage.reveal()
            options: dict[str, Any] = {
                "transport": AioHttpTransport(use_env_settings=False),
                "api_version": API_VERSION,
            }
            if not storage.startswith("https://"):
                self._service = QueueServiceClient.from_connection_string(storage, **options)
            else:
                from shared.adapters.managed_identity import managed_identity  # noqa: PLC0415 - see above

                credential = managed_identity(self._managed_identity)
                self._service = QueueServiceClient(storage, credential=credential, **options)
        return self._service
