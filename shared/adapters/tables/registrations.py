"""Registrations, the attempts to sign in through them, and which registration of an account is the newest."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import batched
from typing import Any

from shared.adapters.tables.mapping import Entity, to_entity
from shared.adapters.tables.rows import TableRows
from shared.adapters.tables.table import MAX_TRANSACTION_ROWS, Table, Write
from shared.domain.errors import RowUnreadable, StaleWrite
from shared.domain.formats import table_key
from shared.domain.registration import NewestLink, PendingRegistration, SignInAttempt
from shared.domain.secret import Secret
from shared.ports import Stored, retry_on_conflict, retry_with_stored

log = logging.getLogger(__name__)

MAX_ROWS_DELETED = 1000  # in one call of `forget`
MAX_ATTEMPTS_KEPT = 20


class TableRegistrations(TableRows[PendingRegistration]):
    """Registrations, with their sign-in attempts in the same partition, and one `newest~` row for each account.

    That row alone decides which registration of an account is valid: one write replaces earlier registrations in any
    state, and readers of open registrations need one more point read.
    """

    def __init__(self, table: Table) -> None:
        super().__init__(table, PendingRegistration, "id")

    async def get(self, identity: str) -> Stored[PendingRegistration] | None:
        """The registration, with mailboxes marked that were replaced or removed since."""
        stored = await super().get(identity)
        if stored is None or not stored.value.unsettled_mailboxes:
            return stored
        newest = await asyncio.gather(*(self.newest(mailbox.account) for mailbox in stored.value.unsettled_mailboxes))
        return Stored(_current(stored.value, newest), stored.version)

    async def for_account(self, registration: str, account: str) -> Stored[PendingRegistration] | None:
        """As `get`, but marks this account's mailbox only."""
        stored, newest = await asyncio.gather(super().get(registration), self.newest(account))
        return Stored(_current(stored.value, [newest]), stored.version) if stored else None

    async def newest(self, account: str) -> NewestLink | None:
        """The account's newest registration."""
        stored = await self.table.read(NewestLink, *_newest_key(account))
        return stored.value if stored else None

    async def make_newest(self, newest: NewestLink) -> None:
        """Replace earlier registrations of the account. Unconditional: the last writer wins."""
        await self.table.put([to_entity(newest, *_newest_key(newest.account))])

    async def end_links(self, account: str) -> None:
        """End the account's links. A link made at the same moment is either ended too, or stays the newest."""

        async def attempt() -> None:
            stored = await self.table.read(NewestLink, *_newest_key(account))
            if stored is not None and not stored.value.removed:
                ended = to_entity(replace(stored.value, removed=True), *_newest_key(account))
                await self.table.write([Write("update", ended, stored.version)])

        await retry_on_conflict(attempt)

    async def attempt(self, registration: str, attempt: str) -> Stored[SignInAttempt] | None:
        """A sign-in attempt, or None."""
        return await self.table.read(SignInAttempt, table_key(registration), f"signin~{attempt}")

    async def add_attempt(self, attempt: SignInAttempt) -> None:
        """Add an attempt and delete the oldest above MAX_ATTEMPTS_KEPT.

        Anyone with the link can begin any number of sign-ins. The browser's own oldest attempts are deleted first, and
        those of other browsers only when it has no more. A deleted attempt ends on a page that says to open the link
        again.
        """
        await self.table.write([Write("create", self._attempt_entity(attempt))])
        where = "PartitionKey eq @registration and RowKey gt 'signin~' and RowKey lt 'signin~~'"
        parameters, columns = {"registration": table_key(attempt.registration)}, ["RowKey", "created", "browser"]
        rows = await self.table.first(where, parameters, columns, MAX_ROWS_DELETED)
        dropped = _surplus_attempts(rows, attempt)
        if any(row["browser"] != attempt.browser for row in dropped):
            log.warning("sign-ins of other browsers dropped", extra={"registration": attempt.registration})
        await self._drop(attempt.registration, [row["RowKey"] for row in dropped])

    async def use_attempt(self, stored: Stored[SignInAttempt], now: datetime) -> Stored[SignInAttempt] | None:
        """Mark an attempt as used, and delete its flow's secrets. Returns None when it was used before."""

        async def attempt(current: Stored[SignInAttempt]) -> Stored[SignInAttempt] | None:
            if current.value.used:
                return None
            return await self._write_attempt(replace(current.value, used=True, used_at=now), current.version)

        # A conflict comes from another use or from a key rotation; the row says which.
        read = partial(self.attempt, stored.value.registration, stored.value.id)
        return await retry_with_stored(stored, read, attempt)

    async def end_attempt(self, used: Stored[SignInAttempt], ended: str, principal: str | None) -> None:
        """Record how a used attempt ended. Raises StaleWrite if it was deleted."""
        await self._write_attempt(replace(used.value, ended=ended, principal=principal), used.version)

    async def _write_attempt(self, used: SignInAttempt, version: str) -> Stored[SignInAttempt]:
        entity = self._attempt_entity(used)
        entity.pop("flow")
        (written,) = await self.table.write([Write("update", entity, version)])
        return Stored(replace(used, flow=Secret("")), written)

    async def forget(self, registration: str) -> bool:
        """Delete the attempts, then the registration; events stay in the outbox.

        Returns False after MAX_ROWS_DELETED attempts, when more may be left.
        """
        where = "PartitionKey eq @registration and RowKey ne '' and ( RowKey lt 'event~' or RowKey gt 'event~~' )"
        parameters = {"registration": table_key(registration)}
        rows = await self.table.first(where, parameters, ["RowKey"], MAX_ROWS_DELETED)
        await self._drop(registration, [row["RowKey"] for row in rows])
        if len(rows) == MAX_ROWS_DELETED:
            return False
        stored = None
        with suppress(RowUnreadable):
            stored = await super().get(registration)
        for mailbox in stored.value.mailboxes if stored is not None else ():
            with suppress(RowUnreadable):  # the account's next registration overwrites it
                await self._forget_newest(NewestLink(mailbox.account, registration))
        await self.table.drop(table_key(registration), [""])
        return True

    async def _drop(self, registration: str, row_keys: Sequence[str]) -> None:
        for batch in batched(row_keys, MAX_TRANSACTION_ROWS, strict=False):
            await self.table.drop(table_key(registration), batch)

    async def _forget_newest(self, link: NewestLink) -> None:
        stored = await self.table.read(NewestLink, *_newest_key(link.account))
        if stored is not None and stored.value.registration == link.registration:
            entity = to_entity(link, *_newest_key(link.account))
            with suppress(StaleWrite):  # a newer registration was started just now
                await self.table.write([Write("delete", entity, stored.version)])

    def _attempt_entity(self, attempt: SignInAttempt) -> Entity:
        return to_entity(attempt, table_key(attempt.registration), f"signin~{attempt.id}")


def _current(registration: PendingRegistration, newest_links: Sequence[NewestLink | None]) -> PendingRegistration:
    """The registration with its unsettled mailboxes marked as replaced or cancelled where the newest links say so."""
    by_account = {table_key(link.account): link for link in newest_links if link is not None}
    links = {box.account: by_account.get(table_key(box.account)) for box in registration.unsettled_mailboxes}
    outdated = {account for account, link in links.items() if link and link.registration != registration.id}
    removed = {account for account, link in links.items() if link and link.removed} - outdated
    if outdated:
        registration = registration.replaced(outdated)
    return registration.cancelled(removed, "account_removed") if removed else registration


def _surplus_attempts(rows: Sequence[Mapping[str, Any]], attempt: SignInAttempt) -> list[Mapping[str, Any]]:
    """The attempts to delete for a new one: the oldest of its own browser first, then the oldest of all."""
    earlier = [row for row in rows if row["RowKey"] != f"signin~{attempt.id}"]
    order = sorted(earlier, key=lambda row: (row["browser"] != attempt.browser, row["created"]))
    return order[: max(len(rows) - MAX_ATTEMPTS_KEPT, 0)]


def _newest_key(account: str) -> tuple[str, str]:
    # Ids of registrations contain no `~`.
    return f"newest~{table_key(account)}", ""
