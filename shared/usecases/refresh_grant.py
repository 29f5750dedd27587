"""Refresh one grant: new tokens, or a failure that is put where it belongs."""

import logging
from dataclasses import dataclass, replace

from shared.domain.account import Account, AccountState
from shared.domain.errors import StaleWrite
from shared.domain.event import EventName
from shared.domain.failure import Failure
from shared.domain.grant import DelegatedGrant
from shared.domain.kinds import FailureKind
from shared.domain.tokens import TokenSet
from shared.domain.work import Work
from shared.ports import (
    Agenda,
    Change,
    Clock,
    Entra,
    EntraFailed,
    Jitter,
    OAuthApps,
    Principals,
    Replace,
    Stored,
)
from shared.usecases import use_case
from shared.usecases.outbox import Outbox
from shared.usecases.tally import Tally

log = logging.getLogger(__name__)

TRIES = 8
# One transaction takes 100 changes: the grant, and an account with its event for each of so many.
ACCOUNTS_AT_ONCE = 49
NEWS = {
    AccountState.CONNECTED: EventName.AUTHENTICATION_SUCCESS,
    AccountState.AUTHENTICATION_ERROR: EventName.AUTHENTICATION_ERROR,
    AccountState.CONNECT_ERROR: EventName.CONNECT_ERROR,
}
# Asked for once a day all the same: an app of the settings may come back.
NO_SUCH_APP = Failure(FailureKind.BLOCKED, "oauth_app_gone")


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The grant as it is stored now, and why it could not be renewed, if it could not."""

    grant: Stored[DelegatedGrant]
    failure: Failure | None = None


@use_case
class RefreshGrant:
    """No lock is needed: Entra keeps the older refresh token alive, and the newer token set wins."""

    principals: Principals
    agenda: Agenda
    entra: Entra
    apps: OAuthApps
    outbox: Outbox
    tally: Tally
    clock: Clock
    jitter: Jitter

    async def __call__(self, stored: Stored[DelegatedGrant], *, hand_out: bool = False) -> Refreshed | None:
        """Ask Entra once and write down what came of it; None when the grant was removed meanwhile.

        `hand_out` says that a caller is waiting for the token, which makes the grant hot.
        """
        answer = await self._ask(stored.value)
        now, jitter = self.clock(), self.jitter()
        current: Stored[DelegatedGrant] | None = stored
        for _ in range(TRIES):
            if current is None:
                return None
            grant = current.value
            if grant is not stored.value and grant.refreshed > stored.value.refreshed:
                return Refreshed(current)
            if isinstance(answer, Failure):
                after = grant.failed(answer, now, jitter)
            else:
                warm = replace(grant, handed_out=now) if hand_out else grant
                after = warm.renewed(answer, now, jitter)
            try:
                written = await self._write(current, after)
            except StaleWrite:
                current = await self.principals.grant(grant.principal.id, grant.app)
                continue
            self._log(after, answer)
            return Refreshed(written, answer if isinstance(answer, Failure) else None)
        raise StaleWrite

    async def _ask(self, grant: DelegatedGrant) -> TokenSet | Failure:
        app = await self.apps.get(grant.app)
        if app is None:
            return NO_SUCH_APP
        try:
            return await self.entra.refresh(app, grant.refresh_token)
        except EntraFailed as failed:
            return failed.failure

    async def _write(self, before: Stored[DelegatedGrant], after: DelegatedGrant) -> Stored[DelegatedGrant]:
        principal_id = after.principal.id
        if after.due is not None:
            await self.agenda.add(Work(after.work, after.due, principal_id, after.app))
        changes = await self._accounts(after) if _news(before.value, after) else []
        while len(changes) > 2 * ACCOUNTS_AT_ONCE:
            await self.principals.commit(principal_id, changes[: 2 * ACCOUNTS_AT_ONCE])
            changes = changes[2 * ACCOUNTS_AT_ONCE :]
        versions = await self.principals.commit(principal_id, [*changes, Replace(after, before.version)])
        self.tally.moved(before.value, after)
        return Stored(after, versions[-1])

    async def _accounts(self, after: DelegatedGrant) -> list[Change]:
        """Each account's new state with its event; those that are in it already are left alone."""
        partition = await self.principals.partition(after.principal.id)
        changes: list[Change] = []
        for stored in partition.served_by(after.app):
            account = _follow(stored.value, after)
            if account is not stored.value:
                self.tally.moved(stored.value, account)
                changes.append(Replace(account, stored.version))
                changes += await self.outbox.tell(account, [NEWS[after.state]])
        return changes

    def _log(self, grant: DelegatedGrant, answer: TokenSet | Failure) -> None:
        ids = {"principal": grant.principal.id, "app": grant.app}
        if isinstance(answer, Failure):
            traced = {"kind": answer.kind, "code": answer.code, "aadsts": answer.aadsts, "trace": answer.trace}
            log.warning("grant not refreshed", extra={**ids, **traced})
        else:
            log.info("grant refreshed", extra={**ids, "work": grant.work})


def _news(before: DelegatedGrant, after: DelegatedGrant) -> bool:
    return before.state is not after.state or before.last_error != after.last_error


def _follow(account: Account, grant: DelegatedGrant) -> Account:
    if grant.last_error is not None:
        return account.troubled(grant.state, grant.last_error.code, grant.last_error.since)
    return account.recovered() if account.last_error is not None and not account.lost_mailbox else account
