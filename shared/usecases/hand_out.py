"""Hand out an access token that is good for at least five more minutes."""

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.account import Account, AccountState
from shared.domain.errors import NotAuthorized, NotFound, StaleWrite, Unavailable
from shared.domain.failure import Failure
from shared.domain.grant import DelegatedGrant
from shared.domain.keys import key
from shared.domain.kinds import FailureKind
from shared.domain.remedy import remedy
from shared.domain.secret import Secret
from shared.domain.work import Work
from shared.ports import Agenda, Clock, Jitter, Principals, Replace, Stored
from shared.usecases import use_case
from shared.usecases.find_account import FindAccount
from shared.usecases.refresh_grant import Refreshed, RefreshGrant
from shared.usecases.tally import Tally

log = logging.getLogger(__name__)

REMEMBERED_ACCOUNTS = 10_000


@dataclass(frozen=True, slots=True)
class HandedOut:
    """An access token for one mailbox. `cached` is false when Entra was asked for it just now."""

    account: str
    sign_in_name: str
    email: str
    access_token: Secret
    scopes: tuple[str, ...]
    expires: datetime
    cached: bool
    app: str


@dataclass(frozen=True, slots=True)
class Remembered:
    """What was read about an account, true for as long as its grant's `bindings` stay the same."""

    account: Account
    bindings: str


@use_case
class HandOut:
    """One point read when warm: the grant's row says whether what is remembered of the account still holds."""

    principals: Principals
    agenda: Agenda
    find: FindAccount
    refresh: RefreshGrant
    tally: Tally
    clock: Clock
    jitter: Jitter
    _remembered: OrderedDict[str, Remembered] = field(default_factory=OrderedDict)
    _refreshing: dict[tuple[str, str], asyncio.Task[Refreshed | None]] = field(default_factory=dict)

    async def __call__(self, account_id: str) -> HandedOut:
        """A token for the account. Raises NotFound, NotAuthorized (a person must act) and Unavailable (try later)."""
        account, stored = await self._look_up(account_id)
        if account.state is AccountState.PAUSED:
            raise _refusal("account_paused")
        cached = stored.value.good_at(self.clock())
        if not cached:
            stored = await self._renewed(stored)
        elif not stored.value.marked_at(self.clock()):
            await self._mark(stored)
        grant = stored.value
        return HandedOut(
            account=account.id,
            sign_in_name=grant.principal.sign_in_name,
            email=account.email,
            access_token=grant.access_token,
            scopes=grant.scopes,
            expires=grant.access_expires,
            cached=cached,
            app=grant.app,
        )

    async def _look_up(self, account_id: str) -> tuple[Account, Stored[DelegatedGrant]]:
        known = self._remembered.get(key(account_id))
        if known is not None:
            stored = await self.principals.grant(known.account.principal_id, known.account.app)
            if stored is not None and stored.value.bindings == known.bindings:
                return known.account, stored
        self._remembered.pop(key(account_id), None)
        found = await self.find(account_id)
        if found is None:
            raise NotFound("No such account")
        return await self._remember(found.account.value)

    async def _remember(self, seen: Account) -> tuple[Account, Stored[DelegatedGrant]]:
        # Grant first: if the account is there after its grant was read, it was there when those bindings were.
        stored = await self.principals.grant(seen.principal_id, seen.app)
        again = await self.principals.account(seen.principal_id, seen.id)
        if stored is None or again is None:
            raise NotFound("No such account")
        self._remembered[key(seen.id)] = Remembered(again.value, stored.value.bindings)
        if len(self._remembered) > REMEMBERED_ACCOUNTS:
            self._remembered.popitem(last=False)
        return again.value, stored

    async def _renewed(self, stored: Stored[DelegatedGrant]) -> Stored[DelegatedGrant]:
        """Refresh once, however many callers wait for the same grant."""
        grant, now = stored.value, self.clock()
        if grant.due is None:
            raise _refusal(grant.last_error.code if grant.last_error else "needs_sign_in")
        if grant.not_before is not None and now < grant.not_before:
            if grant.state is AccountState.CONNECT_ERROR and grant.last_error is not None:
                raise _refusal(grant.last_error.code)
            raise _unavailable("entra_unavailable", grant.not_before - now)
        name = (grant.principal.id, grant.app)
        task = self._refreshing.get(name)
        if task is None:
            task = asyncio.create_task(self._refresh(*name))
            self._refreshing[name] = task
            task.add_done_callback(lambda _: self._refreshing.pop(name, None))
        refreshed = await asyncio.shield(task)
        if refreshed is None:
            raise NotFound("No such account")
        if refreshed.failure is not None:
            raise _failed(refreshed.failure, refreshed.grant.value)
        return refreshed.grant

    async def _refresh(self, principal_id: str, app: str) -> Refreshed | None:
        """Read again first: a caller may have looked just before somebody else's refresh came to its end."""
        stored = await self.principals.grant(principal_id, app)
        if stored is None:
            return None
        if stored.value.good_at(self.clock()):
            return Refreshed(stored)
        return await self.refresh(stored, hand_out=True)

    async def _mark(self, stored: Stored[DelegatedGrant]) -> None:
        grant = stored.value
        marked = grant.handed_out_at(self.clock(), self.jitter())
        try:
            if marked.due is not None and marked.due != grant.due:
                await self.agenda.add(Work(marked.work, marked.due, grant.principal.id, grant.app))
            await self.principals.commit(grant.principal.id, [Replace(marked, stored.version)])
            self.tally.moved(grant, marked)
        except (StaleWrite, Unavailable):
            # The token is good whether or not the mark could be written; the next hand-out writes it.
            log.warning("hand-out not marked", extra={"principal": grant.principal.id})


def _failed(failure: Failure, grant: DelegatedGrant) -> Exception:
    if failure.kind in {FailureKind.TRANSIENT, FailureKind.APP_FAULT} or not failure.confirmed:
        return _unavailable(failure.code if failure.confirmed else "entra_unavailable", failure.retry_after)
    return _refusal(grant.last_error.code if grant.last_error else failure.code)


def _refusal(code: str) -> NotAuthorized:
    return NotAuthorized(code, f"{remedy(code).what} {remedy(code).action}")


def _unavailable(code: str, retry_after: timedelta | None) -> Unavailable:
    return Unavailable(code, f"{remedy(code).what} {remedy(code).action}", retry_after or timedelta(seconds=10))
