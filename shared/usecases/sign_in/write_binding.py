"""Write the truth of a binding: grant, account, events and what is still waited for, in one transaction."""

import asyncio
from dataclasses import dataclass, replace
from itertools import batched

from shared.domain.account import Account, AccountState
from shared.domain.errors import SealBroken
from shared.domain.event import EventName
from shared.domain.grant import DelegatedGrant
from shared.domain.identity import same_address, same_id, table_key
from shared.domain.invited_mailbox import BindRequest, PendingAccount
from shared.domain.oauth_app import OAuthApp
from shared.domain.principal import PrincipalBindings, TokenSet
from shared.domain.work import Work
from shared.ports import (
    Agenda,
    Change,
    Clock,
    Entropy,
    Insert,
    Jitter,
    Partition,
    Principals,
    Record,
    Remove,
    Replace,
    SignedIn,
    Stored,
)
from shared.usecases import use_case
from shared.usecases.events.outbox import Outbox
from shared.usecases.grants.prove_access import AccessRefused, Proof
from shared.usecases.grants.tally import Tally

# Each is written with its event, and a transaction takes 100 rows (Table service: entity group transactions).
RECOVERED_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Proven:
    """All that binding needs: what was asked for, the app, who signed in, and which mailbox opened."""

    request: BindRequest
    app: OAuthApp
    signed_in: SignedIn
    proof: Proof


@use_case
class WriteBinding:
    """In the principal's partition."""

    principals: Principals
    agenda: Agenda
    outbox: Outbox
    tally: Tally
    clock: Clock
    entropy: Entropy
    jitter: Jitter

    async def __call__(self, proven: Proven, partition: Partition, holder: Account | None) -> Account:
        """The account as it is bound now, in place of what `holder` was. Raises StaleWrite and AccessRefused."""
        held = partition.grants.get(proven.app.id)
        grant, account = self._grant(proven, held), self._account(proven, holder)
        if grant.due is not None:
            await self.agenda.add(Work(grant.work, grant.due, account.principal_id, grant.app))
        before = partition.accounts.get(table_key(account.id))
        known = holder or (before.value if before else None)
        told, news = await self.outbox.tell(account, _news(known, account), before=known)
        bindings = PrincipalBindings(account.principal_id, self.clock())
        changes: list[Change] = [_put(grant, held), _put(told, before), _put(bindings, partition.bindings), *news]
        changes += [
            _waited(stored, proven.request.account)
            for stored in partition.pending.values()
            if stored.value.registration == proven.request.by and stored.value.includes(proven.request.account)
        ]
        if before is not None and before.value.app != grant.app:
            changes += self._left(partition, before.value.app)
        await self._recover_siblings(partition, account)
        await self.principals.commit(account.principal_id, changes)
        self.tally.moved(before.value if before else None, account)
        self.tally.moved(held.value if held else None, grant)
        return account

    def _account(self, proven: Proven, holder: Account | None) -> Account:
        request, principal, proof, now = proven.request, proven.signed_in.principal, proven.proof, self.clock()
        if holder is not None:
            again = holder.reauthorized(principal, request.by, now)
            same = same_address(holder.email, proof.email)
            return replace(
                again,
                name=proof.name if request.may_change else holder.name,
                email=proof.email,
                app=proven.app.id,
                through=request.through,
                inbox_id=proof.inbox_id or (holder.inbox_id if same else None),
            )
        return Account(
            id=request.account,
            name=proof.name,
            email=proof.email,
            shared=proof.shared,
            principal_id=principal.id,
            sign_in_name=principal.sign_in_name,
            app=proven.app.id,
            registration=request.by,
            created=now,
            bound=now,
            through=request.through,
            inbox_id=proof.inbox_id,
        )

    def _grant(self, proven: Proven, before: Stored[DelegatedGrant] | None) -> DelegatedGrant:
        """With the tokens of the sign-in, unless they are there already, or it is the grant's own that are used."""
        tokens, now, bindings = proven.signed_in.tokens, self.clock(), self.entropy(8).hex()
        if proven.request.through is not None:
            if before is None or before.value.state is not AccountState.CONNECTED:
                error = before.value.last_error if before else None
                raise AccessRefused(error.code if error else "needs_sign_in")
            return replace(before.value, bindings=bindings)
        if before is not None:
            well = before.value.state is AccountState.CONNECTED
            mine = _holds(before.value, tokens)
            again = before.value if mine and well else before.value.reauthorized(tokens, now, self.jitter())
            return replace(again, bindings=bindings, principal=proven.signed_in.principal)
        grant = DelegatedGrant(
            principal=proven.signed_in.principal,
            app=proven.app.id,
            refresh_token=tokens.refresh_token,
            access_token=tokens.access_token,
            access_expires=tokens.expires,
            scopes=tokens.scopes,
            refreshed=now,
            bindings=bindings,
            resource=tokens.resource,
        )
        return grant.after_probe(lost=False, now=now, jitter=self.jitter())

    def _left(self, partition: Partition, app: str) -> list[Change]:
        """The grant through the app that the account was with goes with its last account, and is rid of this one."""
        stored = partition.grants.get(app)
        if stored is None:
            return []
        if len(partition.served_by(app)) == 1:
            return [Remove(stored.value, stored.version)]
        return [Replace(replace(stored.value, bindings=self.entropy(8).hex()), stored.version)]

    async def _recover_siblings(self, partition: Partition, account: Account) -> None:
        """The new tokens mend whatever else the grant serves, some accounts in each transaction.

        Ahead of the grant, because there may be more siblings than a transaction takes: should this process die in
        between, the person's link still works, and its next try ends the same way.
        """
        others = (one for one in partition.served_by(account.app) if not same_id(one.value.id, account.id))
        ill = [one for one in others if one.value.last_error is not None and not one.value.has_mailbox_error]
        for some in batched(ill, RECOVERED_AT_ONCE, strict=False):
            told = await asyncio.gather(
                *(self.outbox.tell(one.value.recovered(), [EventName.AUTHENTICATION_SUCCESS]) for one in some)
            )
            changes: list[Change] = []
            for before, (well, news) in zip(some, told, strict=True):
                changes += [Replace(well, before.version), *news]
            await self.principals.commit(account.principal_id, changes)
            for before, (well, _) in zip(some, told, strict=True):
                self.tally.moved(before.value, well)


def _holds(grant: DelegatedGrant, tokens: TokenSet) -> bool:
    """Whether these are its tokens already. Those that do not open any more are mended by a sign-in."""
    try:
        return grant.refresh_token == tokens.refresh_token
    except SealBroken:
        return False


def _put(record: Record, before: Stored[DelegatedGrant] | Stored[Account] | Stored[PrincipalBindings] | None) -> Change:
    """Insert what is new, replace what was read."""
    return Insert(record) if before is None else Replace(record, before.version)


def _waited(stored: Stored[PendingAccount], account: str) -> Change:
    left = stored.value.without(account)
    return Remove(stored.value, stored.version) if left is None else Replace(left, stored.version)


def _news(before: Account | None, account: Account) -> list[EventName]:
    if before is None:
        return [EventName.ACCOUNT_ADDED, EventName.ACCOUNT_INITIALIZED]
    taken_over = before.principal_id != account.principal_id
    other_inbox = before.inbox_id is not None and account.inbox_id not in {None, before.inbox_id}
    moved = other_inbox or not same_address(before.email, account.email)
    news = [EventName.ACCOUNT_CHANGED] if taken_over or moved else []
    return [*news, EventName.AUTHENTICATION_SUCCESS] if taken_over or before.last_error is not None else news
