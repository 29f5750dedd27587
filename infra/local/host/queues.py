"""Queue triggers: each message of a Storage queue runs a function. Several hosts can share a queue.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue
"""

import asyncio
import binascii
import logging
import os
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient, QueueServiceClient
from azure_functions_runtime.bindings.datumdef import Datum

from infra.local.host.settings import HostError, QueueLimits, resolve
from infra.local.host.worker import Function, FunctionFailedError, Worker

QUEUE_TRIGGER = "queueTrigger"
POISON_SUFFIX = "-poison"
# As in the real host: a message is leased for ten minutes, and the lease is renewed at half of that time.
LEASE_SECONDS = 600
FIRST_POLL_SECONDS = 0.1
# Azurite rejects API versions that it does not know, and the SDK may be newer than Azurite.
API_VERSION = "2025-11-05"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Queue:
    """A function, its queue, and the poison queue, which a poison queue itself does not have."""

    worker: Worker
    function: Function
    queue: QueueClient
    poison: QueueClient | None
    limits: QueueLimits

    async def poll(self, stopping: asyncio.Event) -> None:
        """Process messages until `stopping` is set, then finish those in progress."""
        pause_seconds, tasks = FIRST_POLL_SECONDS, set[asyncio.Task[None]]()
        while not stopping.is_set():
            if len(tasks) > self.limits.new_batch_threshold:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                continue
            messages = await self._receive()
            for message in messages:
                task = asyncio.create_task(self.process(message))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            next_pause = min(pause_seconds * 2, self.limits.max_polling_interval)
            pause_seconds = FIRST_POLL_SECONDS if messages else next_pause
            if not messages:
                await _pause(pause_seconds, stopping)
        if tasks:
            await asyncio.wait(tasks)

    async def run(self, text: str) -> None:
        """Run the function now with this text as its message. A failure is only logged."""
        message = QueueMessage(content=text)
        message.id, message.dequeue_count, message.pop_receipt = "manual", 1, ""
        await self._invoke(message, text)

    async def process(self, message: QueueMessage) -> None:
        """Run the function, then delete the message, make it visible again, or move it to the poison queue.

        A message that is not base64 text is moved at once, without running the function.
        """
        text = _decode(message.content)
        succeeded = text is not None and await self._invoke_with_lease(message, text)
        ids = {"function": self.function.name, "id": message.id}
        try:
            if succeeded:
                await self.queue.delete_message(message)
            elif self.poison is None:
                # Its lease hides it for a while. If it became visible at once, it would be processed over and over.
                log.warning("message left in poison queue", extra=ids)
            elif text is not None and (message.dequeue_count or 0) < self.limits.max_dequeue_count:
                await self.queue.update_message(message, visibility_timeout=self.limits.visibility_timeout)
            else:
                await _send(self.poison, message.content)
                await self.queue.delete_message(message)
                log.warning("message moved to poison queue", extra=ids)
        except AzureError:
            # The message becomes visible when its lease expires: delivery is at least once.
            log.warning("message not settled", extra=ids)

    async def _invoke_with_lease(self, message: QueueMessage, text: str) -> bool:
        renewal = asyncio.create_task(self._renew_lease(message))
        try:
            return await self._invoke(message, text)
        finally:
            renewal.cancel()
            await asyncio.gather(renewal, return_exceptions=True)

    async def _receive(self) -> list[QueueMessage]:
        try:
            messages = self.queue.receive_messages(
                max_messages=self.limits.batch_size,
                messages_per_page=self.limits.batch_size,
                visibility_timeout=LEASE_SECONDS,
            )
            return [message async for message in messages]
        except ResourceNotFoundError:
            return []  # the real host waits until the queue exists
        except AzureError:
            log.warning("queue does not answer", extra={"function": self.function.name})
            return []

    async def _invoke(self, message: QueueMessage, text: str) -> bool:
        metadata = {
            "Id": Datum(message.id, "string"),
            "DequeueCount": Datum(message.dequeue_count, "int"),
            "PopReceipt": Datum(message.pop_receipt, "string"),
        }
        try:
            await self.worker.invoke(self.function, Datum(text, "string"), metadata)
        except FunctionFailedError:
            return False
        return True

    async def _renew_lease(self, message: QueueMessage) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 2)
            renewed = await self.queue.update_message(message, visibility_timeout=LEASE_SECONDS)
            message.pop_receipt = renewed.pop_receipt


@asynccontextmanager
async def queues(worker: Worker, limits: QueueLimits) -> AsyncIterator[dict[str, Queue]]:
    """The app's queue functions by name. A function whose queue name does not resolve is in error.

    Raises HostError for a connection that does not resolve.
    """
    services: dict[str, QueueServiceClient] = {}

    def queue(function: Function) -> Queue:
        name = resolve(function.trigger["queueName"])
        connection = function.trigger.get("connection", "")
        if connection not in services:
            services[connection] = _connect(function)
        client = services[connection].get_queue_client
        poison = None if name.endswith(POISON_SUFFIX) else client(f"{name}{POISON_SUFFIX}")
        return Queue(worker, function, client(name), poison, limits)

    try:
        yield worker.each(QUEUE_TRIGGER, queue)
    finally:
        for service in services.values():
            await service.close()


def _connect(function: Function) -> QueueServiceClient:
    """Connect with the connection's setting. As in the real host, its name may have the prefix `AzureWebJobs`."""
    name = function.trigger.get("connection") or "AzureWebJobsStorage"
    connection_string = os.environ.get(name) or os.environ.get(f"AzureWebJobs{name}")
    if not connection_string:
        raise HostError(f"{function.name}: the setting {name} is missing")
    return QueueServiceClient.from_connection_string(
        connection_string, transport=AioHttpTransport(use_env_settings=False), api_version=API_VERSION
    )


def _decode(content: str) -> str | None:
    try:
        return b64decode(content, validate=True).decode()
    except (binascii.Error, ValueError):
        return None


async def _send(queue: QueueClient, text: str) -> None:
    with suppress(ResourceExistsError):
        await queue.create_queue()
    await queue.send_message(text)


async def _pause(seconds: float, stopping: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return
