"""Hand out an access token that is good for at least five more minutes."""

import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from shared.domain.account import MAILBOX_REPLACED, Account, AccountState
from shared.domain.clouds import Resource
from shared.domain.errors import InvalidInput, NotFound, StaleWrite, Unavailable
from shared.domain.grant import DelegatedGrant, ResourceToken
from shared.domain.identity import table_key
from shared.domain.renewal import TokenRequest
from shared.domain.secret import Secret
from shared.domain.ttl_cache import SharedCalls
from shared.domain.work import Work
from shared.ports import Agenda, Clock, Jitter, OAuthApps, Principals, Replace, Stored
from shared.usecases import use_case
from shared.usecases.grants.find_account import FindAccount
from shared.usecases.grants.refresh_grant import Refreshed, RefreshGrant
from shared.usecases.grants.refusals import check_askable, refusal, settled, unavailable
from shared.usecases.grants.tally import Tally

log = logging.getLogger(__name__)

REMEMBERED_ACCOUNTS = 10_000


@dataclass(frozen=True, slots=True)
class HandedOut:
    """An access token for one mailbox. `cached` is false when Entra was asked for it just now."""

    account: str
    resource: Resource
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
    apps: OAuthApps
    find: FindAccount
    refresh: RefreshGrant
    tally: Tally
    clock: Clock
    jitter: Jitter
    _remembered: OrderedDict[str, Remembered] = field(default_factory=OrderedDict)
    _refreshing: SharedCalls = field(default_factory=SharedCalls)

    async def __call__(self, account_id: str, resource: Resource | None = None) -> HandedOut:
        """A token for the account and a resource, by default the one that the grant lives by.

        Raises NotFound, InvalidInput (the OAuth app does not cover the resource), NotAuthorized (a person must act) and
        Unavailable (try later).
        """
        account, stored = await self.look_up(account_id)
        resource = resource or stored.value.resource
        held, now = stored.value.token_for(resource), self.clock()
        if held is None or not held.is_usable(now):
            grant = await self.renewed(stored, resource)
            return handed_out(account, grant, grant.token_for(resource), cached=False)
        if not held.has_recent_hand_out(now):
            await self._mark(stored, resource)
        return handed_out(account, stored.value, held, cached=True)

    async def check_covered(self, grant: DelegatedGrant, resource: Resource) -> None:
        """Raise InvalidInput for a resource that the OAuth app asks nothing of."""
        app = await self.apps.get(grant.app)
        if app is not None and resource not in app.resources:
            raise InvalidInput({"resource": f'"resource" must be one of [{", ".join(app.resources)}] for this account'})

    async def look_up(self, account_id: str) -> tuple[Account, Stored[DelegatedGrant]]:
        """The account and its grant.

        Raises NotFound, and NotAuthorized for an account that is paused or whose address leads to another mailbox.
        """
        account, stored = await self._look_up(account_id)
        if account.state is AccountState.PAUSED:
            raise refusal("account_paused")
        if account.replaced_since is not None:
            raise refusal(MAILBOX_REPLACED)
        return account, stored

    async def _look_up(self, account_id: str) -> tuple[Account, Stored[DelegatedGrant]]:
        known = self._remembered.get(table_key(account_id))
        if known is not None:
            stored = await self.principals.grant(known.account.principal_id, known.account.app)
            if stored is not None and stored.value.bindings == known.bindings:
                return known.account, stored
        self._remembered.pop(table_key(account_id), None)
        found = await self.find.known(account_id)
        return await self._remember(found.account.value)

    async def _remember(self, seen: Account) -> tuple[Account, Stored[DelegatedGrant]]:
        # Grant first: if the account is there after its grant was read, it was there when those bindings were.
        stored = await self.principals.grant(seen.principal_id, seen.app)
        again = await self.principals.account(seen.principal_id, seen.id)
        if stored is None or again is None:
            raise NotFound("No such account")
        self._remembered[table_key(seen.id)] = Remembered(again.value, stored.value.bindings)
        if len(self._remembered) > REMEMBERED_ACCOUNTS:
            self._remembered.popitem(last=False)
        return again.value, stored

    async def renewed(
        self, stored: Stored[DelegatedGrant], resource: Resource, *, hand_out: bool = True
    ) -> DelegatedGrant:
        """Refresh once, however many callers wait for the same token. Raises what a hand-out does.

        Without `hand_out` the token is not for a caller, and does not make the grant hot.
        """
        grant = stored.value
        await self.check_covered(grant, resource)
        check_askable(grant, self.clock())
        if refused := grant.refusal_code(self.clock(), resource):
            raise refusal(refused)
        name = (grant.principal.id, grant.app, resource)
        return settled(await self._refreshing(name, partial(self._refresh, *name, hand_out=hand_out)))

    async def _refresh(self, principal_id: str, app: str, resource: Resource, *, hand_out: bool) -> Refreshed | None:
        """Read again first: a caller may have looked just before somebody else's refresh came to its end."""
        stored = await self.principals.grant(principal_id, app)
        if stored is None:
            return None
        if stored.value.has_usable_token(self.clock(), resource):
            return Refreshed(stored)
        return await self.refresh(stored, TokenRequest(resource), hand_out=hand_out)

    async def _mark(self, stored: Stored[DelegatedGrant], resource: Resource) -> None:
        grant = stored.value
        marked = grant.with_hand_out(self.clock(), self.jitter(), resource)
        try:
            if marked.due is not None and marked.due != grant.due:
                await self.agenda.add(Work(marked.work, marked.due, grant.principal.id, grant.app))
            await self.principals.commit(grant.principal.id, [Replace(marked, stored.version)])
            self.tally.moved(grant, marked)
        except (StaleWrite, Unavailable):
            # The token is good whether or not the mark could be written; the next hand-out writes it.
            log.warning("hand-out not marked", extra={"principal": grant.principal.id})


def handed_out(account: Account, grant: DelegatedGrant, held: ResourceToken | None, *, cached: bool) -> HandedOut:
    """The answer with one of the grant's tokens. Raises Unavailable when others took it away meanwhile."""
    if held is None:
        raise unavailable("entra_unavailable", None)
    return HandedOut(
        account=account.id,
        resource=held.resource,
        sign_in_name=grant.principal.sign_in_name,
        email=account.email,
        access_token=held.token,
        scopes=held.scopes,
        expires=held.expires,
        cached=cached,
        app=grant.app,
    )
