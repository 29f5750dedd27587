"""One table: reads, and writes that are conditional, sealed, and know their own work when they meet it again."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.data.tables import TableErrorCode, UpdateMode
from azure.data.tables.aio import TableClient

from shared.adapters.tables.answering import answering
from shared.adapters.tables.mapping import Entity, from_entity
from shared.adapters.tables.row_secrets import Opening, opened, sealed
from shared.domain.errors import RowUnreadable, StaleWrite, StorageUnavailable
from shared.ports import Entropy, Sealer, Stored

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Write:
    """One change: `create`, `update` or `delete`; the latter two over the version that was read."""

    verb: str
    entity: Entity
    version: str | None = None


class Table:
    """Writes raise StaleWrite when the row is not as it was read, everything StorageUnavailable when nobody answers."""

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
        self, kind: type[T], partition: str, row: str, opening: Opening = Opening.AT_ONCE
    ) -> Stored[T] | None:
        """The record of a row, or None."""
        entity = await self._get(partition, row)
        return None if entity is None else await self.record(kind, entity, opening)

    async def record[T](
        self, kind: type[T], entity: Mapping[str, Any], opening: Opening = Opening.AT_ONCE
    ) -> Stored[T]:
        """The record of an entity. Raises RowUnreadable, and SealBroken for secrets that are opened at once."""
        whole = await opened(self._sealer, self._name, kind, entity, opening) if self._sealer else entity
        metadata: Mapping[str, str] = getattr(entity, "metadata", {})
        return Stored(from_entity(kind, whole), metadata.get("etag", ""))

    async def records[T](
        self, kind: type[T], entities: AsyncIterator[Mapping[str, Any]], opening: Opening = Opening.AT_ONCE
    ) -> AsyncIterator[tuple[Mapping[str, Any], Stored[T]]]:
        """Each entity with its record. One that is unreadable is logged and left out."""
        async for entity in entities:
            try:
                yield entity, await self.record(kind, entity, opening)
            except RowUnreadable:
                self.unreadable(entity)

    def unreadable(self, entity: Mapping[str, Any]) -> None:
        """Log a row that is left out."""
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
        """The entities of a filter in the order of their keys, `page` in one read."""
        with answering(reading=True):
            pages = self._client.query_entities(
                where,
                parameters=dict(parameters),
                results_per_page=page,
                select=list(select) if select else None,
            )
            async for entity in pages:
                yield entity

    async def first(
        self, where: str, parameters: Mapping[str, str], select: Sequence[str], most: int
    ) -> list[Mapping[str, Any]]:
        """At most so many entities of a filter."""
        found: list[Mapping[str, Any]] = []
        async for entity in self.query(where, parameters, page=min(most, 1000), select=select):
            found.append(entity)
            if len(found) == most:
                break
        return found

    async def write(self, changes: Sequence[Write]) -> list[str]:
        """All changes (at most 100, one partition) or none; returns the new versions, empty for deletions."""
        attempt = self._entropy(12).hex()
        ready = [await self._sealed(change, attempt) for change in changes]
        try:
            return await self._send(ready)
        except (StaleWrite, StorageUnavailable):
            # When an answer is lost, the SDK repeats the write and meets its own first try, or says that it failed.
            kept = next((change.entity for change in ready if change.verb != "delete"), None)
            if kept is None or not await self._is_ours(kept, attempt):
                raise
            return [await self._version(change) for change in ready]

    async def put(self, entities: Sequence[Entity]) -> None:
        """Write rows of one partition whatever was there; for rows whose content follows from their key."""
        with answering():
            if len(entities) == 1:
                await self._creating(lambda: self._client.upsert_entity(entities[0], mode=UpdateMode.REPLACE))
            else:
                batch = [("upsert", entity, {"mode": UpdateMode.REPLACE}) for entity in entities]
                await self._creating(lambda: self._client.submit_transaction(batch))

    async def drop(self, partition: str, rows: Sequence[str]) -> None:
        """Delete rows of one partition; those that are not there are fine."""
        batch = [("delete", {"PartitionKey": partition, "RowKey": row}) for row in rows]
        try:
            with answering(reading=True):
                if len(rows) > 1:
                    await self._client.submit_transaction(batch)
                else:
                    await self._client.delete_entity(partition, rows[0])
        except StaleWrite:
            # One that is missing spoils the transaction for all of them.
            for row in rows:
                with answering(reading=True):
                    await self._client.delete_entity(partition, row)

    async def _send(self, changes: Sequence[Write]) -> list[str]:
        with answering():
            if len(changes) == 1:
                return [await self._creating(lambda: self._single(changes[0]))]
            batch = [_operation(change) for change in changes]
            results = await self._creating(lambda: self._client.submit_transaction(batch))
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

    async def _creating(self, call: Any) -> Any:  # noqa: ANN401 - passes through whatever the SDK's call returns
        """Create the table when the first write to it finds none."""
        try:
            return await call()
        except HttpResponseError as error:
            # Some of the SDK's calls raise the service's answer as it came, without its code.
            if TableErrorCode.TABLE_NOT_FOUND.value not in str(error):
                raise
        with suppress(ResourceExistsError):  # another process was faster
            await self._client.create_table()
        return await call()

    async def _get(self, partition: str, row: str) -> Mapping[str, Any] | None:
        with answering(reading=True):
            return await self._client.get_entity(partition, row)
        return None

    async def _is_ours(self, entity: Entity, attempt: str) -> bool:
        found = await self._get(entity["PartitionKey"], entity["RowKey"])
        return found is not None and found.get("attempt") == attempt

    async def _version(self, change: Write) -> str:
        if change.verb == "delete":
            return ""
        found = await self._get(change.entity["PartitionKey"], change.entity["RowKey"])
        metadata: Mapping[str, str] = getattr(found, "metadata", {})
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
