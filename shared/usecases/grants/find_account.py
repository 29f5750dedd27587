"""Find an account: from its id to its principal's partition."""

from dataclasses import dataclass

from shared.domain.account import Account
from shared.domain.errors import NotFound
from shared.ports import Directory, DirectoryEntry, Principals, Stored
from shared.usecases import use_case


@dataclass(frozen=True, slots=True)
class Found:
    """An account with the directory's entry for it."""

    entry: Stored[DirectoryEntry]
    account: Stored[Account]


@use_case
class FindAccount:
    """Reads the directory, then the truth."""

    directory: Directory
    principals: Principals

    async def __call__(self, account: str) -> Found | None:
        """The bound account of that id, or None."""
        entry = await self.directory.get(account)
        return None if entry is None else await self.behind(entry)

    async def known(self, account: str) -> Found:
        """The same. Raises NotFound."""
        found = await self(account)
        if found is None:
            raise NotFound("No such account")
        return found

    async def behind(self, entry: Stored[DirectoryEntry]) -> Found | None:
        """The account that an entry leads to.

        A claim leads somewhere too: after a crash between the binding and its confirmation, the account is there.
        """
        value = entry.value
        claimant = value.claim.principal_id if value.claim else None
        for principal_id in dict.fromkeys((value.principal_id, claimant)):
            stored = await self.principals.account(principal_id, value.account) if principal_id else None
            if stored is not None:
                return Found(entry, stored)
        return None
