"""Claim an account's id in the directory while it is being bound."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from shared.domain.account import Account
from shared.domain.errors import StaleWrite
from shared.domain.identity import table_key
from shared.ports import Claim, Clock, Directory, DirectoryEntry, Partition, Stored
from shared.usecases import use_case
from shared.usecases.grants.find_account import FindAccount
from shared.usecases.grants.prove_access import AccessRefused
from shared.usecases.grants.remove_account import RemoveAccount
from shared.usecases.sign_in.write_binding import Proven

CLAIM_FOR = timedelta(minutes=2)


@use_case
class ClaimAccount:
    """The directory decides whose an id is. A claim holds others up, and runs out."""

    directory: Directory
    find: FindAccount
    remove: RemoveAccount
    clock: Clock

    async def __call__(
        self, proven: Proven, entry: Stored[DirectoryEntry] | None, holder: Account | None
    ) -> Stored[DirectoryEntry]:
        """Claim the id. Raises AccessRefused while somebody else's claim holds, and StaleWrite."""
        request, principal, now = proven.request, proven.signed_in.principal, self.clock()
        mine = Claim(principal.id, proven.app.id, request.by, now + CLAIM_FOR)
        if entry is None:
            return await self.directory.insert(DirectoryEntry(request.account, claim=mine))
        theirs = entry.value.claim
        held_up = theirs is not None and theirs.principal_id != principal.id and now < theirs.until
        if held_up and theirs is not None and not (holder and holder.principal_id == theirs.principal_id):
            raise AccessRefused("link_used" if theirs.registration == request.by else "account_busy")
        return await self.directory.replace(entry, replace(entry.value, claim=mine))

    async def release(self, proven: Proven) -> None:
        """Take back a claim that an earlier try of ours made for a binding that is refused."""
        entry = await self.directory.get(proven.request.account)
        claim = entry and entry.value.claim
        if not entry or not claim or claim.registration != proven.request.by:
            return
        if claim.principal_id != proven.signed_in.principal.id or await self.find.behind(entry):
            return
        with suppress(StaleWrite):  # somebody else claims the id by now
            await self.directory.remove(entry)

    async def lapse(self, account: str, by: str) -> None:
        """Forget a claim that ran out before anything was bound: its process died, and nobody took the id over."""
        entry = await self.directory.get(account)
        claim = entry and entry.value.claim
        if not entry or not claim or claim.registration != by or self.clock() < claim.until:
            return
        if await self.find.behind(entry) is None:
            with suppress(StaleWrite):  # somebody claims the id by now
                await self.directory.remove(entry)

    async def confirm(self, claimed: Stored[DirectoryEntry], account: Account, before: Partition) -> None:
        """The account is there. Raises StaleWrite when the id went to somebody else, with nothing left behind."""
        try:
            bound = DirectoryEntry(account.id, account.principal_id, account.app)
            await self.directory.replace(claimed, bound)
        except StaleWrite:
            # The claim ran out and somebody else took it: the directory decides, so what was written here must go.
            entry = await self.directory.get(account.id)
            claim = entry.value.claim if entry else None
            ours = entry and account.principal_id in {entry.value.principal_id, claim.principal_id if claim else None}
            # Another tab of the same person leads here too; then the row is theirs and must stay.
            if not ours and table_key(account.id) not in before.accounts:
                await self.remove.leftover(account)
            raise
