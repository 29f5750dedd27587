"""One table: reads, and conditional writes that seal secrets and recognize their own earlier attempt."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, NamedTuple

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.data.tables import TableErrorCode, UpdateMode
from azure.data.tables.aio import TableClient

from shared.adapters.tables.mapping import Entity, from_entity
from shared.adapters.tables.row_secrets import Unsealing, sealed, unsealed
from shared.adapters.tables.service_errors import translated_errors
from shared.domain.errors import RowUnreadable, StaleWrite, StorageUnavailable
from shared.ports import Entropy, Sealer, Stored

log = logging.getLogger(__name__)

MAX_TRANSACTION_ROWS = 100  # Table service: entity group transactions


class Write(NamedTuple):
    """One change: `create`, `update` or `delete`. An `update` or `delete` applies to the version that was read."""

    verb: str
    entity: Entity
    version: str | None = None


class Table:
    """One table. Writes raise StaleWrite when the row changed since it was read; every call, StorageUnavailable."""

    def __init__(
        self, name: str, connect: Callable[[str], TableClient], sealer: Sealer | None, entropy: Entropy
    ) -> None:
        self._name = name
        self.connect = connect
        self._sealer = sealer
        self._entropy = entropy

    @cached_property
    def _client(self) -> TableClient:
        return self.connect(self._name)

    async def read[T](
        self, kind: type[T], partition: str, row: str, unsealing: Unsealing = Unsealing.NOW
    ) -> Stored[T] | None:
        """The record of a row, or None."""
        entity = await self._get(partition, row)
        return None if entity is None else await self.record(kind, entity, unsealing)

    async def record[T](
        self, kind: type[T], entity: Mapping[str, Any], unsealing: Unsealing = Unsealing.NOW
    ) -> Stored[T]:
        """The record of an entity. Raises RowUnreadable, which is logged, and SealBroken for secrets unsealed now."""
        whole = await unsealed(self._sealer, self._name, kind, entity, unsealing) if self._sealer else entity
        metadata: Mapping[str, str] = getattr(entity, "metadata", {})
        try:
            return Stored(from_entity(kind, whole), metadata.get("etag", ""))
        except RowUnreadable:
            self.unreadable(entity)
            raise

    async def records[T](
        self, kind: type[T], entities: AsyncIterator[Mapping[str, Any]], unsealing: Unsealing = Unsealing.NOW
    ) -> AsyncIterator[tuple[Mapping[str, Any], Stored[T]]]:
        """Each entity with its record. Unreadable ones are skipped."""
        async for entity in entities:
            with suppress(RowUnreadable):
                yield entity, await self.record(kind, entity, unsealing)

    def unreadable(self, entity: Mapping[str, Any]) -> None:
        """Log a row that cannot be read: its place, and nothing of its content."""
        place = {name: entity[name] for name in ("PartitionKey", "RowKey")}
        log.error("row unreadable", extra={"table": self._name, **place})

    async def query(
        self,
        where: str,
        parameters: Mapping[str, str],
        *,
        page: int = 1000,
        select: Sequence[str] | None = None,
    ) -> AsyncIterator[Mapping[str, Any]]:
        """The entities that match a filter, in the order of their keys, `page` in one request."""
        with translated_errors(reading=True):
            pages = self._client.query_entities(
                where,
                parameters=dict(parameters),
                results_per_page=page,
                select=list(select) if select else None,
            )
            async for entity in pages:
                yield entity

    async def first(
        self, where: str, parameters: Mapping[str, str], select: Sequence[str], limit: int
    ) -> list[Mapping[str, Any]]:
        """The first entities that match a filter, at most `limit`."""
        entities: list[Mapping[str, Any]] = []
        async for entity in self.query(where, parameters, page=min(limit, 1000), select=select):
            entities.append(entity)
            if len(entities) == limit:
                break
        return entities

    async def write(self, changes: Sequence[Write]) -> list[str]:
        """Write at most MAX_TRANSACTION_ROWS changes of one partition in one transaction.

        Returns the new versions, empty for deletions.
        """
        attempt = self._entropy(12).hex()
        sealed_changes = [await self._sealed(change, attempt) for change in changes]
        try:
            return await self._send(sealed_changes)
        except (StaleWrite, StorageUnavailable):
            # When a response is lost, the SDK repeats the write and conflicts with its own first attempt, or gives up.
            written = next((change.entity for change in sealed_changes if change.verb != "delete"), None)
            if written is None or not await self._is_ours(written, attempt):
                raise
            return [await self._version(change, attempt) for change in sealed_changes]

    async def put(self, entities: Sequence[Entity]) -> None:
        """Write rows of one partition unconditionally; for rows whose content follows from their key."""
        with translated_errors():
            if len(entities) == 1:
                await self._with_table(lambda: self._client.upsert_entity(entities[0], mode=UpdateMode.REPLACE))
            else:
                batch = [("upsert", entity, {"mode": UpdateMode.REPLACE}) for entity in entities]
                await self._with_table(lambda: self._client.submit_transaction(batch))

    async def drop(self, partition: str, rows: Sequence[str]) -> None:
        """Delete rows of one partition. Missing rows are no error."""
        batch = [("delete", {"PartitionKey": partition, "RowKey": row}) for row in rows]
        try:
            with translated_errors(reading=True):
                if len(rows) > 1:
                    await self._client.submit_transaction(batch)
                else:
                    await self._client.delete_entity(partition, rows[0])
        except StaleWrite:
            # One missing row makes the whole transaction fail.
            for row in rows:
                with translated_errors(reading=True):
                    await self._client.delete_entity(partition, row)

    async def _send(self, changes: Sequence[Write]) -> list[str]:
        with translated_errors():
            if len(changes) == 1:
                return [await self._with_table(lambda: self._single(changes[0]))]
            batch = [_operation(change) for change in changes]
            results = await self._with_table(lambda: self._client.submit_transaction(batch))
            return [str(result.get("etag", "")) for result in results]

    async def _single(self, change: Write) -> str:
        condition: dict[str, Any] = {"etag": change.version, "match_condition": MatchConditions.IfNotModified}
        match change.verb:
            case "create":
                done = await self._client.create_entity(change.entity)
            case "update":
                done = await self._client.update_entity(change.entity, mode=UpdateMode.REPLACE, **condition)
            case _:
                await self._client.delete_entity(change.entity, **condition)
                return ""
        return str(done["etag"])

    async def _with_table(self, call: Any) -> Any:  # noqa: ANN401 - passes through whatever the SDK's call returns
        """Make a call, and create the table first when it does not exist."""
        try:
            return await call()
        except HttpResponseError as error:
            # Some of the SDK's calls raise errors without a code.
            if TableErrorCode.TABLE_NOT_FOUND.value not in str(error):
                raise
        with suppress(ResourceExistsError):  # another process created it
            await self._client.create_table()
        return await call()

    async def _get(self, partition: str, row: str) -> Mapping[str, Any] | None:
        with translated_errors(reading=True):
            return await self._client.get_entity(partition, row)
        return None

    async def _is_ours(self, entity: Entity, attempt: str) -> bool:
        stored = await self._get(entity["PartitionKey"], entity["RowKey"])
        return stored is not None and stored.get("attempt") == attempt

    async def _version(self, change: Write, attempt: str) -> str:
        """The version that this attempt wrote. Raises StaleWrite when another writer changed the row since.

        It is empty for a new row that is gone again, such as an event that was delivered at once.
        """
        if change.verb == "delete":
            return ""
        stored = await self._get(change.entity["PartitionKey"], change.entity["RowKey"])
        if stored is None and change.verb == "create":
            return ""
        if stored is None or stored.get("attempt") != attempt:
            raise StaleWrite
        metadata: Mapping[str, str] = getattr(stored, "metadata", {})
        return metadata.get("etag", "")

    async def _sealed(self, change: Write, attempt: str) -> Write:
        if change.verb == "delete":
            return change
        entity = {**change.entity, "attempt": attempt}
        whole = await sealed(self._sealer, self._name, entity) if self._sealer else entity
        return Write(change.verb, whole, change.version)


def _operation(change: Write) -> tuple[str, Entity] | tuple[str, Entity, dict[str, Any]]:
    if change.verb == "create":
        return ("create", change.entity)
    condition: dict[str, Any] = {"etag": change.version, "match_condition": MatchConditions.IfNotModified}
    if change.verb == "update":
        condition["mode"] = UpdateMode.REPLACE
    return (change.verb, change.entity, condition)
