"""The index of mailboxes, by address."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from shared.domain.mailbox import BoundMailbox
from shared.ports.storage import Stored


class Mailboxes(Protocol):
    """One row for each address and account, so that two bindings of one mailbox never conflict.

    The row is written before the account and removed after it: an extra row is harmless, because the account decides,
    and without its row an account could not be found by its address. Raises StorageUnavailable.
    """

    async def accounts_of(self, address: str) -> Sequence[BoundMailbox]:
        """The rows of an address in any spelling, in one read. They are kept for `remembered_accounts_of`."""

    def remembered_accounts_of(self, address: str) -> Sequence[BoundMailbox]:
        """The rows that this process remembers, without a request. Its own changes apply at once."""

    async def get(self, address: str, account: str) -> Stored[BoundMailbox] | None: ...

    async def put(self, mailbox: BoundMailbox) -> None:
        """Write a row, whether it exists or not."""

    async def remove(self, stored: Stored[BoundMailbox]) -> None:
        """Delete the version that was read. Raises StaleWrite."""

    def everything(self, after: str | None) -> AsyncIterator[tuple[str, Stored[BoundMailbox]]]:
        """Every row in a stable order, each with the cursor that continues after it. Raises InvalidInput."""
