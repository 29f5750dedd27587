"""Queue triggers: messages of Storage Queues become invocations, shared among all hosts that poll.

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
POISON = "-poison"
# As in the real host: a message is leased for ten minutes, and the lease renewed at half of that while it is worked.
LEASE_SECONDS = 600
FIRST_POLL_SECONDS = 0.1
# The SDK may be ahead of Azurite, which refuses versions that it does not know.
API_VERSION = "2025-11-05"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Queue:
    """A function, the queue that triggers it, and where its bad messages go: a poison queue has no such place."""

    worker: Worker
    function: Function
    queue: QueueClient
    poison: QueueClient | None
    limits: QueueLimits

    async def poll(self, stopping: asyncio.Event) -> None:
        """Work messages until `stopping` is set; those that are under way then are finished."""
        pause, working = FIRST_POLL_SECONDS, set[asyncio.Task[None]]()
        while not stopping.is_set():
            # New messages are fetched when no more than this many are being worked (host.json, newBatchThreshold).
            if len(working) > self.limits.threshold:
                await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
                continue
            messages = await self._receive()
            for message in messages:
                task = asyncio.create_task(self.work(message))
                working.add(task)
                task.add_done_callback(working.discard)
            pause = FIRST_POLL_SECONDS if messages else min(pause * 2, self.limits.longest_poll)
            if not messages:
                await _pause(pause, stopping)
        if working:
            await asyncio.wait(working)

    async def run(self, text: str) -> None:
        """Run the function now, with this text as its message; a failure is logged, and that is all."""
        message = QueueMessage(content=text)
        message.id, message.dequeue_count, message.pop_receipt = "manual", 1, ""
        await self._invoke(message, text)

    async def work(self, message: QueueMessage) -> None:
        """One message: success deletes it, failure shows it again, and failure for good moves it aside.

        What is not text in base64 is moved aside at once, and no function sees it.
        """
        text = _text(message.content)
        ok = text is not None and await self._while_renewed(message, text)
        try:
            if ok:
                await self.queue.delete_message(message)
            elif self.poison is None:
                # Its lease keeps it away for a while: shown at once, it would come again and again.
                log.warning("message left in poison queue", extra={"function": self.function.name, "id": message.id})
            elif text is not None and (message.dequeue_count or 0) < self.limits.most_tries:
                await self.queue.update_message(message, visibility_timeout=self.limits.visibility)
            else:
                await _sending(self.poison, message.content)
                await self.queue.delete_message(message)
                log.warning("message moved to poison queue", extra={"function": self.function.name, "id": message.id})
        except AzureError:
            # Its lease runs out, and then it is somebody's again: at least once.
            log.warning("message not settled", extra={"function": self.function.name, "id": message.id})

    async def _while_renewed(self, message: QueueMessage, text: str) -> bool:
        renewing = asyncio.create_task(self._renew(message))
        try:
            return await self._invoke(message, text)
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def _receive(self) -> list[QueueMessage]:
        try:
            found = self.queue.receive_messages(
                max_messages=self.limits.batch_size,
                messages_per_page=self.limits.batch_size,
                visibility_timeout=LEASE_SECONDS,
            )
            return [message async for message in found]
        except ResourceNotFoundError:
            return []  # the real host waits until somebody makes the queue
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

    async def _renew(self, message: QueueMessage) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 2)
            renewed = await self.queue.update_message(message, visibility_timeout=LEASE_SECONDS)
            message.pop_receipt = renewed.pop_receipt


@asynccontextmanager
async def queues(worker: Worker, limits: QueueLimits) -> AsyncIterator[dict[str, Queue]]:
    """Queue functions of the app by name; one whose queue's name does not resolve is in error.

    Raises HostError for a connection that does not resolve.
    """
    services: dict[str, QueueServiceClient] = {}

    def queue(one: Function) -> Queue:
        name = resolve(one.trigger["queueName"])
        connection = one.trigger.get("connection", "")
        if connection not in services:
            services[connection] = _connect(one)
        client = services[connection].get_queue_client
        poison = None if name.endswith(POISON) else client(f"{name}{POISON}")
        return Queue(worker, one, client(name), poison, limits)

    try:
        yield worker.each(QUEUE_TRIGGER, queue)
    finally:
        for service in services.values():
            await service.close()


def _connect(function: Function) -> QueueServiceClient:
    """The connection's setting, with or without `AzureWebJobs` in front of its name, as the real host looks it up."""
    name = function.trigger.get("connection") or "AzureWebJobsStorage"
    where = os.environ.get(name) or os.environ.get(f"AzureWebJobs{name}")
    if not where:
        raise HostError(f"{function.name}: the setting {name} is missing")
    return QueueServiceClient.from_connection_string(
        where, transport=AioHttpTransport(use_env_settings=False), api_version=API_VERSION
    )


def _text(content: str) -> str | None:
    try:
        return b64decode(content, validate=True).decode()
    except (binascii.Error, ValueError):
        return None


async def _sending(queue: QueueClient, text: str) -> None:
    with suppress(ResourceExistsError):
        await queue.create_queue()
    await queue.send_message(text)


async def _pause(seconds: float, stopping: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return
