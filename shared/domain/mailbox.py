"""The index of mailboxes: which accounts bind an address."""

from dataclasses import dataclass
from typing import Self

from shared.domain.account import Account
from shared.domain.formats import normalize_address


@dataclass(frozen=True, slots=True)
class BoundMailbox:
    """A row of the index: one account that binds the address. The account's own row decides whether it still does.

    `address` is normalized, and `inbox_id` identifies the mailbox as in `Account`.
    """

    address: str
    account: str
    inbox_id: str | None = None

    @classmethod
    def of(cls, account: Account) -> Self:
        """The row that the account needs."""
        return cls(normalize_address(account.email), account.id, account.inbox_id)
