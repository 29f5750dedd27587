"""Tables of single rows: the directory, the registrations, the API tokens, the OAuth apps, the webhooks."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import batched
from typing import Any

from shared.adapters.tables.mapping import Entity, to_entity
from shared.adapters.tables.row_secrets import Opening
from shared.adapters.tables.table import Table, Write
from shared.domain.errors import RowUnreadable, StaleWrite
from shared.domain.event import Event
from shared.domain.formats import table_key
from shared.domain.oauth_app import RegisteredApp
from shared.domain.registration import NewestLink, PendingRegistration, SignInAttempt
from shared.ports import Stored, retry_on_conflict, retry_with_stored

log = logging.getLogger(__name__)

FIRST = datetime.min.replace(tzinfo=UTC)
AT_ONCE = 100  # rows of one transaction (Table service: entity group transactions)
FORGOTTEN_AT_ONCE = 1000
ATTEMPTS_KEPT = 20


@dataclass(frozen=True, slots=True)
class TableRows[T]:
    """One record for each identity: partition key is the identity, row key is empty."""

    table: Table
    kind: type[T]
    field: str
    opening: Opening = Opening.AT_ONCE
    disposable: bool = False

    async def get(self, identity: str) -> Stored[T] | None:
        """The record, or None. Raises RowUnreadable; a `disposable` record is deleted instead."""
        try:
            return await self.table.read(self.kind, table_key(identity), "", self.opening)
        except RowUnreadable:
            if not self.disposable:
                raise
            self.table.unreadable({"PartitionKey": table_key(identity), "RowKey": ""})
            await self.table.drop(table_key(identity), [""])
            return None

    async def all(self) -> Sequence[T]:
        """Every record that is readable, for tables that hold few of them and nothing else."""
        entities = self.table.query("PartitionKey ge @from", {"from": ""})
        return [stored.value async for _, stored in self.table.records(self.kind, entities, self.opening)]

    async def insert(self, value: T, news: Sequence[Event] = ()) -> Stored[T]:
        """Add a record."""
        return Stored(value, await self._write(Write("create", self._entity(value)), news))

    async def replace(self, stored: Stored[T], value: T, news: Sequence[Event] = ()) -> Stored[T]:
        """Write a record over the version that was read."""
        return Stored(value, await self._write(Write("update", self._entity(value), stored.version), news))

    async def put(self, stored: Stored[T] | None, value: T, news: Sequence[Event] = ()) -> Stored[T]:
        """Insert where there was no row, and replace the one that was read otherwise."""
        return await (self.insert(value, news) if stored is None else self.replace(stored, value, news))

    async def update[N: None](self, identity: str, change: Callable[[T | None], T | N]) -> T | N:
        """Change one row; `change` may run several times. Raises Conflict after MAX_WRITE_ATTEMPTS."""

        async def attempt() -> T | N:
            stored = await self.get(identity)
            before = stored.value if stored else None
            after = change(before)
            if after is not None and after is not before:
                await self.put(stored, after)
            return after

        return await retry_on_conflict(attempt)

    async def remove(self, stored: Stored[T], news: Sequence[Event] = ()) -> None:
        """Delete the version that was read."""
        await self._write(Write("delete", self._entity(stored.value), stored.version), news)

    async def _write(self, change: Write, news: Sequence[Event]) -> str:
        """The record's new version. Events lie beside the record that they are about."""
        partition = change.entity["PartitionKey"]
        told = [Write("create", to_entity(event, partition, f"event~{event.id}")) for event in news]
        return (await self.table.write([change, *told]))[0]

    def _entity(self, value: T) -> Entity:
        return to_entity(value, table_key(getattr(value, self.field)), "")


class TableRegistrations(TableRows[PendingRegistration]):
    """Invitations, with their sign-in attempts in the same partition; and one row for each account, keyed `newest~`.

    That row alone decides which invitation of an account counts. It is one write whatever the earlier invitation is
    going through at that moment, and one point read more for those that are open.
    """

    def __init__(self, table: Table) -> None:
        super().__init__(table, PendingRegistration, "id")

    async def get(self, identity: str) -> Stored[PendingRegistration] | None:
        """The invitation as it stands now."""
        stored = await super().get(identity)
        if stored is None or not stored.value.unsettled_mailboxes:
            return stored
        newest = await asyncio.gather(*(self.newest(mailbox.account) for mailbox in stored.value.unsettled_mailboxes))
        return Stored(_as_it_stands(stored.value, newest), stored.version)

    async def for_account(self, registration: str, account: str) -> Stored[PendingRegistration] | None:
        """The invitation, of whose mailboxes this account's is as it stands now."""
        stored, newest = await asyncio.gather(super().get(registration), self.newest(account))
        return Stored(_as_it_stands(stored.value, [newest]), stored.version) if stored else None

    async def newest(self, account: str) -> NewestLink | None:
        """The row that decides."""
        stored = await self.table.read(NewestLink, *_newest(account))
        return stored.value if stored else None

    async def make_newest(self, newest: NewestLink) -> None:
        """Unconditional, because whoever is last is right."""
        await self.table.put([to_entity(newest, *_newest(newest.account))])

    async def end_links(self, account: str) -> None:
        """Conditional, so that a link which is made at the same moment is ended as well or stays the newest."""
        partition, row = _newest(account)

        async def attempt() -> None:
            stored = await self.table.read(NewestLink, partition, row)
            if stored is not None and not stored.value.removed:
                ended = to_entity(replace(stored.value, removed=True), partition, row)
                await self.table.write([Write("update", ended, stored.version)])

        await retry_on_conflict(attempt)

    async def attempt(self, registration: str, attempt: str) -> Stored[SignInAttempt] | None:
        """An attempt to follow the invitation, or None."""
        return await self.table.read(SignInAttempt, table_key(registration), f"signin~{attempt}")

    async def add_attempt(self, attempt: SignInAttempt) -> None:
        """Note that a browser was sent to Entra.

        Anybody with the link can begin any number of sign-ins. Of more than twenty tabs, the oldest of the same browser
        come back to a page that says to open the link again, and those of others only where it has no more.
        """
        await self.table.write([Write("create", self._attempt(attempt))])
        where = "PartitionKey eq @of and RowKey gt 'signin~' and RowKey lt 'signin~~'"
        columns = ["RowKey", "created", "browser"]
        rows = await self.table.first(where, {"of": table_key(attempt.registration)}, columns, FORGOTTEN_AT_ONCE)
        dropped = _too_many(rows, attempt)
        if any(row["browser"] != attempt.browser for row in dropped):
            log.warning("sign-ins of other browsers dropped", extra={"registration": attempt.registration})
        await self._drop(attempt.registration, [row["RowKey"] for row in dropped])

    async def use_attempt(self, stored: Stored[SignInAttempt]) -> bool:
        """Mark an attempt as used. Its flow's secrets are not kept."""
        used = {**self._attempt(stored.value), "used": True}
        used.pop("flow")

        async def attempt(current: Stored[SignInAttempt]) -> bool:
            if not current.value.used:
                await self.table.write([Write("update", used, current.version)])
            return not current.value.used

        # A conflict is another use of it, or a key rotation; the row says which.
        read = partial(self.attempt, stored.value.registration, stored.value.id)
        return bool(await retry_with_stored(stored, read, attempt))

    async def forget(self, registration: str) -> bool:
        """Delete an invitation after its attempts, whatever has become of them. Events are for the outbox."""
        where = "PartitionKey eq @of and RowKey ne '' and ( RowKey lt 'event~' or RowKey gt 'event~~' )"
        rows = await self.table.first(where, {"of": table_key(registration)}, ["RowKey"], FORGOTTEN_AT_ONCE)
        await self._drop(registration, [row["RowKey"] for row in rows])
        if len(rows) == FORGOTTEN_AT_ONCE:
            return False
        stored = None
        with suppress(RowUnreadable):
            stored = await super().get(registration)
        for mailbox in stored.value.mailboxes if stored is not None else ():
            with suppress(RowUnreadable):  # the account's next link writes it again
                await self._forget_newest(NewestLink(mailbox.account, registration))
        await self.table.drop(table_key(registration), [""])
        return True

    async def _drop(self, registration: str, rows: Sequence[str]) -> None:
        for some in batched(rows, AT_ONCE, strict=False):
            await self.table.drop(table_key(registration), some)

    async def _forget_newest(self, link: NewestLink) -> None:
        stored = await self.table.read(NewestLink, *_newest(link.account))
        if stored is not None and stored.value.registration == link.registration:
            entity = to_entity(link, *_newest(link.account))
            with suppress(StaleWrite):  # a newer one was started right now
                await self.table.write([Write("delete", entity, stored.version)])

    def _attempt(self, attempt: SignInAttempt) -> Entity:
        return to_entity(attempt, table_key(attempt.registration), f"signin~{attempt.id}")


class TableOAuthApps(TableRows[RegisteredApp]):
    """OAuth apps; there are as many as operators make, so that reading all of them is fine.

    One whose credentials do not open is there without them: the others go on, and an operator may give it new ones.
    """

    def __init__(self, table: Table) -> None:
        super().__init__(table, RegisteredApp, "id", Opening.IF_POSSIBLE)

    async def get(self, identity: str) -> Stored[RegisteredApp] | None:
        """The app of exactly that id: unlike keys, ids have capitals that count."""
        stored = await super().get(identity)
        return stored if stored and stored.value.id == identity else None

    async def all(self) -> Sequence[RegisteredApp]:
        """Every app, the oldest first."""
        return sorted(await super().all(), key=lambda app: (app.created or FIRST, app.id))


def _as_it_stands(link: PendingRegistration, newest: Sequence[NewestLink | None]) -> PendingRegistration:
    """An invitation whose open mailboxes know of newer invitations, and of accounts that were removed."""
    decided = {table_key(one.account): one for one in newest if one is not None}
    rows = {mailbox.account: decided.get(table_key(mailbox.account)) for mailbox in link.unsettled_mailboxes}
    outdated = {account for account, row in rows.items() if row is not None and row.registration != link.id}
    removed = {account for account, row in rows.items() if row is not None and row.removed} - outdated
    if outdated:
        link = link.replaced(outdated)
    return link.cancelled(removed, "account_removed") if removed else link


def _too_many(rows: Sequence[Mapping[str, Any]], attempt: SignInAttempt) -> list[Mapping[str, Any]]:
    """Those that go for the sake of a new one: first the oldest of its browser, then the oldest of all."""
    earlier = [row for row in rows if row["RowKey"] != f"signin~{attempt.id}"]
    order = sorted(earlier, key=lambda row: (row["browser"] != attempt.browser, row["created"]))
    return order[: max(len(rows) - ATTEMPTS_KEPT, 0)]


def _newest(account: str) -> tuple[str, str]:
    # No id of a registration holds a `~`.
    return f"newest~{table_key(account)}", ""
