"""Change an account: its name, and whether it is paused."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from shared.domain.account import Account, AccountState
from shared.domain.errors import Conflict, InvalidInput, StaleWrite
from shared.domain.grant import DelegatedGrant
from shared.domain.identity import same_address
from shared.ports import Change, Entropy, Principals, Replace, Stored
from shared.usecases import use_case
from shared.usecases.grants.find_account import FindAccount
from shared.usecases.grants.tally import Tally

log = logging.getLogger(__name__)

TRIES = 8


@dataclass(frozen=True, slots=True)
class AccountChange:
    """What shall be otherwise; None leaves a thing as it is.

    `email` and `expected_email` were proven by a sign-in. They may be repeated, as callers do who send all that they
    read, but not changed.
    """

    name: str | None = None
    paused: bool | None = None
    email: str | None = None
    expected_email: str | None = None


@use_case
class ChangeAccount:
    """An account that is paused hands out nothing. Its grant is kept alive all the same, as any idle one."""

    principals: Principals
    find: FindAccount
    tally: Tally
    entropy: Entropy

    async def __call__(self, account: str, change: AccountChange, faults: Mapping[str, str]) -> Account:
        """The account as it is then. `faults` were found in reading the change; raises InvalidInput with all there are.

        Raises NotFound, and Conflict when others go on changing it.
        """
        for _ in range(TRIES):
            found = await self.find.known(account)
            if all_faults := {**_proven(change, found.account.value), **faults}:
                raise InvalidInput(all_faults)
            try:
                return await self._write(found.account, change)
            except StaleWrite:
                continue
        raise Conflict("The account is being changed by others; try again")

    async def _write(self, stored: Stored[Account], change: AccountChange) -> Account:
        before = stored.value
        grant = await self.principals.grant(before.principal_id, before.app)
        after = replace(_switched(before, change, grant.value if grant else None), name=change.name or before.name)
        if after == before:
            return before
        changes: list[Change] = [Replace(after, stored.version)]
        if grant is not None and after.state is not before.state:
            # What is remembered of the account on its way to hand out is true no more.
            told = replace(grant.value, bindings=self.entropy(8).hex())
            changes.append(Replace(told, grant.version))
        await self.principals.commit(before.principal_id, changes)
        self.tally.moved(before, after)
        log.info("account changed", extra={"principal": before.principal_id, "state": after.state})
        return after


def _switched(account: Account, change: AccountChange, grant: DelegatedGrant | None) -> Account:
    if change.paused is None or change.paused is (account.state is AccountState.PAUSED):
        return account
    return account.paused() if change.paused else account.resumed(grant.state if grant else AccountState.CONNECTED)


def _proven(change: AccountChange, account: Account) -> dict[str, str]:
    faults = {}
    if change.email and not same_address(change.email, account.email):
        faults["email"] = (
            '"email" is the mailbox that was proven to open; to prove another one, ask POST /v1/authentication/form for'
            " this account"
        )
    if change.expected_email and not same_address(change.expected_email, account.sign_in_name):
        faults["expectedEmail"] = (
            '"expectedEmail" is whoever authorizes the account; for somebody else, ask POST /v1/authentication/form'
            ' with "allowPrincipalChange"'
        )
    return faults
