"""Principals: one partition for each, with grants, accounts, pending accounts and events."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from shared.adapters.tables.cursor import cursor_of, query_after
from shared.adapters.tables.mapping import to_entity
from shared.adapters.tables.row_secrets import Unsealing
from shared.adapters.tables.table import Table, Write
from shared.domain.account import Account, PrincipalBindings
from shared.domain.errors import RowUnreadable
from shared.domain.event import Event
from shared.domain.formats import table_key
from shared.domain.grant import DelegatedGrant
from shared.domain.invited_mailbox import PendingAccount
from shared.domain.ttl_cache import RememberedReads
from shared.ports import (
    Change,
    Clock,
    Insert,
    Partition,
    Record,
    Remove,
    Replace,
    Stored,
    put_change,
    retry_on_conflict,
    retry_with_stored,
)

_ACCOUNTS = "RowKey ge 'account~' and RowKey lt 'account~~'"
_GRANTS = "RowKey ge 'grant~' and RowKey lt 'grant~~'"


@dataclass(frozen=True, slots=True)
class TablePrincipals:
    """Row keys begin with the kind of the row: `account~`, `bindings~`, `event~`, `grant~`, `pending~`.

    `~` sorts after every character of a key. A grant's tokens are unsealed when they are used: most readers need none
    of them, and a hand-out needs one.

    Every write of a grant passes through `commit`, which forgets the remembered one.
    """

    table: Table
    remembered: RememberedReads[Stored[DelegatedGrant]]
    clock: Clock

    async def partition(self, principal_id: str) -> Partition:
        """All rows of one principal except events."""
        grants: dict[str, Stored[DelegatedGrant]] = {}
        accounts: dict[str, Stored[Account]] = {}
        pending: dict[str, Stored[PendingAccount]] = {}
        bindings: Stored[PrincipalBindings] | None = None
        where = "PartitionKey eq @principal and (RowKey lt 'event~' or RowKey gt 'event~~')"
        async for entity in self.table.query(where, {"principal": table_key(principal_id)}):
            match entity["RowKey"].partition("~"):
                case "bindings", _, _:
                    bindings = await self.table.record(PrincipalBindings, entity)
                case "grant", _, _:
                    grant = await self.table.record(DelegatedGrant, entity, Unsealing.WHEN_USED)
                    grants[grant.value.app] = grant
                case "account", _, account:
                    accounts[account] = await self.table.record(Account, entity)
                case "pending", _, _:
                    account_pending = await self.table.record(PendingAccount, entity)
                    pending[account_pending.value.registration] = account_pending
        return Partition(grants, accounts, pending, bindings)

    async def grant(self, principal_id: str, app: str, *, remember: bool = False) -> Stored[DelegatedGrant] | None:
        """A grant, by one point read."""

        async def read() -> Stored[DelegatedGrant] | None:
            return await self.table.read(
                DelegatedGrant, table_key(principal_id), f"grant~{table_key(app)}", Unsealing.WHEN_USED
            )

        return await (self.remembered.read(_name(principal_id, app), self.clock(), read) if remember else read())

    def remembered_grant(self, principal_id: str, app: str) -> Stored[DelegatedGrant] | None:
        """A grant that this process has remembered, without a request."""
        return self.remembered.get(_name(principal_id, app), self.clock())

    async def account(self, principal_id: str, account: str) -> Stored[Account] | None:
        """An account, by one point read."""
        return await self.table.read(Account, table_key(principal_id), f"account~{table_key(account)}")

    async def pending(self, principal_id: str, registration: str) -> Stored[PendingAccount] | None:
        """A pending account, by one point read."""
        return await self.table.read(PendingAccount, table_key(principal_id), f"pending~{table_key(registration)}")

    async def commit(self, principal_id: str, changes: Sequence[Change]) -> Sequence[str]:
        """Write all changes in one transaction."""
        try:
            return await self.table.write([_write(table_key(principal_id), change) for change in changes])
        finally:  # whatever the answer: without one, the write may have arrived
            for change in changes:
                if isinstance(change.record, DelegatedGrant):
                    self.remembered.forget(_name(principal_id, change.record.app))

    async def update_grant(
        self, stored: Stored[DelegatedGrant], change: Callable[[DelegatedGrant], DelegatedGrant]
    ) -> Stored[DelegatedGrant] | None:
        """Change a grant, which is read again only after a conflict."""
        principal_id = stored.value.principal.id

        async def attempt(current: Stored[DelegatedGrant]) -> Stored[DelegatedGrant]:
            after = change(current.value)
            return Stored(after, (await self.commit(principal_id, [Replace(after, current.version)]))[0])

        return await retry_with_stored(stored, partial(self.grant, principal_id, stored.value.app), attempt)

    async def update_pending(
        self, principal_id: str, registration: str, change: Callable[[PendingAccount | None], PendingAccount]
    ) -> PendingAccount:
        """Change or add a pending account."""

        async def attempt() -> PendingAccount:
            stored = await self.pending(principal_id, registration)
            after = change(stored.value if stored else None)
            await self.commit(principal_id, [put_change(stored, after)])
            return after

        return await retry_on_conflict(attempt)

    async def forget_pending(self, principal_id: str, registration: str) -> None:
        """Delete a pending account without reading it, so a broken seal does not matter."""
        await self.table.drop(table_key(principal_id), [f"pending~{table_key(registration)}"])

    async def accounts(
        self, state: str | None, after: str | None, *, app: str | None = None, principal_id: str | None = None
    ) -> AsyncIterator[tuple[str, Account]]:
        """The matching accounts in the order of their keys, each with the cursor that continues after it."""
        filters = {"state": state, "app": app, "PartitionKey": principal_id and table_key(principal_id)}
        parameters = {name: value for name, value in filters.items() if value is not None}
        where = " and ".join([_ACCOUNTS, *(f"{name} eq @{name}" for name in parameters)])
        async for entity, stored in self.table.records(Account, query_after(self.table, after, where, parameters)):
            yield cursor_of(entity), stored.value

    async def everything(self, after: str | None) -> AsyncIterator[tuple[str, DelegatedGrant | Account]]:
        """Every readable grant and account in the order of their keys, each with its cursor."""
        async for entity in query_after(self.table, after, f"( ( {_ACCOUNTS} ) or ( {_GRANTS} ) )", {}):
            kind: Any = Account if entity["RowKey"].startswith("account~") else DelegatedGrant
            with suppress(RowUnreadable):
                yield cursor_of(entity), (await self.table.record(kind, entity, Unsealing.WHEN_USED)).value


def _name(principal_id: str, app: str) -> str:
    return f"{table_key(principal_id)}|{table_key(app)}"


def _write(partition: str, change: Change) -> Write:
    entity = to_entity(change.record, partition, _row(change.record))
    if isinstance(change, Insert):
        return Write("create", entity)
    return Write("delete" if isinstance(change, Remove) else "update", entity, change.version)


def _row(record: Record) -> str:
    match record:
        case DelegatedGrant():
            return f"grant~{table_key(record.app)}"
        case Account():
            return f"account~{table_key(record.id)}"
        case PendingAccount():
            return f"pending~{table_key(record.registration)}"
        case PrincipalBindings():
            return "bindings~"
        case Event():
            return f"event~{record.id}"
