"""Principals: the grants, accounts and events of each, in a partition of its own."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from shared.domain.account import Account, PrincipalBindings
from shared.domain.event import Event
from shared.domain.grant import DelegatedGrant
from shared.domain.invited_mailbox import PendingAccount
from shared.ports.storage import Stored

type Record = DelegatedGrant | Account | PendingAccount | Event | PrincipalBindings
"""A row in a principal's partition."""


class Insert(NamedTuple):
    """Write a record that must not exist yet."""

    record: Record


class Replace(NamedTuple):
    """Write a record over the version that was read."""

    record: Record
    version: str


class Remove(NamedTuple):
    """Delete a record of the version that was read."""

    record: Record
    version: str


type Change = Insert | Replace | Remove


def put_change(stored: Stored[Record] | None, record: Record) -> Change:
    """Insert where there was no record; otherwise replace the version that was read."""
    return Insert(record) if stored is None else Replace(record, stored.version)


class Partition(NamedTuple):
    """All rows of one principal except events."""

    grants: Mapping[str, Stored[DelegatedGrant]]
    accounts: Mapping[str, Stored[Account]]
    pending: Mapping[str, Stored[PendingAccount]]
    bindings: Stored[PrincipalBindings] | None = None

    def served_by(self, app: str) -> list[Stored[Account]]:
        """The accounts that the grant for one OAuth app serves."""
        return [account for account in self.accounts.values() if account.value.app == app]


class Principals(Protocol):
    """One partition for each principal. Raises StaleWrite and StorageUnavailable."""

    async def partition(self, principal_id: str) -> Partition: ...

    async def grant(self, principal_id: str, app: str, *, remember: bool = False) -> Stored[DelegatedGrant] | None:
        """The grant as it is stored; `remember` keeps it for `remembered_grant`."""

    def remembered_grant(self, principal_id: str, app: str) -> Stored[DelegatedGrant] | None:
        """The grant as this process read it in the last MAILBIND_REMEMBER_SECONDS and has not written it since."""

    async def account(self, principal_id: str, account: str) -> Stored[Account] | None: ...

    async def pending(self, principal_id: str, registration: str) -> Stored[PendingAccount] | None: ...

    async def commit(self, principal_id: str, changes: Sequence[Change]) -> Sequence[str]:
        """Write at most 100 changes in one transaction. Returns the new version of each."""

    async def update_grant(
        self, stored: Stored[DelegatedGrant], change: Callable[[DelegatedGrant], DelegatedGrant]
    ) -> Stored[DelegatedGrant] | None:
        """As `Rows.update`, starting from a grant that was read before. Returns None when it no longer exists."""

    async def update_pending(
        self, principal_id: str, registration: str, change: Callable[[PendingAccount | None], PendingAccount]
    ) -> PendingAccount:
        """As `Rows.update`, for a pending account."""

    async def forget_pending(self, principal_id: str, registration: str) -> None:
        """Delete a pending account. A missing one is no error."""

    def accounts(
        self, state: str | None, after: str | None, *, app: str | None = None, principal_id: str | None = None
    ) -> AsyncIterator[tuple[str, Account]]:
        """All matching accounts in a stable order, each with the cursor that continues after it."""

    def everything(self, after: str | None) -> AsyncIterator[tuple[str, DelegatedGrant | Account]]:
        """Every grant and account, each with its cursor."""
