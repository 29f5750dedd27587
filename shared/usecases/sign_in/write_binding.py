"""Write one binding: claim the account's id, write grant, account and events in one transaction, confirm the claim."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import batched

from shared.domain.account import Account, AccountState, PrincipalBindings
from shared.domain.errors import SealBroken, StaleWrite
from shared.domain.event import EventName
from shared.domain.formats import same_address, same_id, table_key
from shared.domain.grant import DelegatedGrant
from shared.domain.invited_mailbox import BindRequest, PendingAccount
from shared.domain.oauth_app import OAuthApp
from shared.domain.tokens import TokenSet
from shared.domain.work import Work
from shared.ports import (
    App,
    Change,
    Claim,
    DirectoryEntry,
    Partition,
    Remove,
    Replace,
    SignedIn,
    Stored,
    put_change,
)
from shared.usecases.accounts.change import remove_leftover
from shared.usecases.accounts.read import account_behind
from shared.usecases.events.outbox import account_events
from shared.usecases.sign_in.proof import AccessRefused, Proof

# Each is written with its event, and a transaction takes 100 rows (Table service: entity group transactions).
MAX_RECOVERED_PER_WRITE = 50
CLAIM_LIFETIME = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Proven:
    """What binding needs: the request, the OAuth app, the person who signed in, and the mailbox that opened."""

    request: BindRequest
    app: OAuthApp
    signed_in: SignedIn
    proof: Proof


async def write_binding(app: App, proven: Proven, partition: Partition, holder: Account | None) -> Account:
    """Write the binding in the principal's partition, and return the bound account, which replaces `holder`.

    Raises StaleWrite and AccessRefused.
    """
    held = partition.grants.get(proven.app.id)
    grant, account = _bound_grant(app, proven, held), _bound_account(app, proven, holder)
    if grant.due is not None:
        await app.stores.agenda.add(Work(grant.work, grant.due, account.principal_id, grant.app))
    before = partition.accounts.get(table_key(account.id))
    known = holder or (before.value if before else None)
    told, news = await account_events(app, account, _news(known, account), before=known)
    bindings = PrincipalBindings(account.principal_id, app.clock())
    changes: list[Change] = [
        put_change(held, grant),
        put_change(before, told),
        put_change(partition.bindings, bindings),
        *news,
    ]
    changes += [
        _waited(stored, proven.request.account)
        for stored in partition.pending.values()
        if stored.value.registration == proven.request.by and stored.value.includes(proven.request.account)
    ]
    if before is not None and before.value.app != grant.app:
        changes += _left_grant(app, partition, before.value.app)
    await _recover_siblings(app, partition, account)
    await app.stores.principals.commit(account.principal_id, changes)
    app.tally.moved(before.value if before else None, account)
    app.tally.moved(held.value if held else None, grant)
    return account


def _bound_account(app: App, proven: Proven, holder: Account | None) -> Account:
    request, principal, proof, now = proven.request, proven.signed_in.principal, proven.proof, app.clock()
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


def _bound_grant(app: App, proven: Proven, before: Stored[DelegatedGrant] | None) -> DelegatedGrant:
    """The grant with the sign-in's tokens, unless it holds them already, or the request uses the grant's own."""
    tokens, now, bindings = proven.signed_in.tokens, app.clock(), app.entropy(8).hex()
    if proven.request.through is not None:
        if before is None or before.value.state is not AccountState.CONNECTED:
            error = before.value.last_error if before else None
            raise AccessRefused(error.code if error else "needs_sign_in")
        return replace(before.value, bindings=bindings)
    if before is not None:
        well = before.value.state is AccountState.CONNECTED
        mine = _holds(before.value, tokens)
        again = before.value if mine and well else before.value.reauthorized(tokens, now, app.jitter())
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
    return grant.after_probe(lost=False, now=now, jitter=app.jitter())


def _left_grant(app: App, partition: Partition, app_id: str) -> list[Change]:
    """Remove the account from its former app's grant, and that grant with its last account."""
    stored = partition.grants.get(app_id)
    if stored is None:
        return []
    if len(partition.served_by(app_id)) == 1:
        return [Remove(stored.value, stored.version)]
    return [Replace(replace(stored.value, bindings=app.entropy(8).hex()), stored.version)]


async def _recover_siblings(app: App, partition: Partition, account: Account) -> None:
    """The new tokens repair the grant's other accounts, some in each transaction.

    They are written before the grant, because they may be more than a transaction takes. If this process dies in
    between, the person's link still works, and the next attempt ends the same way.
    """
    others = (one for one in partition.served_by(account.app) if not same_id(one.value.id, account.id))
    ill = [one for one in others if one.value.last_error is not None and not one.value.has_mailbox_error]
    for some in batched(ill, MAX_RECOVERED_PER_WRITE, strict=False):
        told = await asyncio.gather(
            *(account_events(app, one.value.recovered(), [EventName.AUTHENTICATION_SUCCESS]) for one in some)
        )
        changes: list[Change] = []
        for before, (well, news) in zip(some, told, strict=True):
            changes += [Replace(well, before.version), *news]
        await app.stores.principals.commit(account.principal_id, changes)
        for before, (well, _) in zip(some, told, strict=True):
            app.tally.moved(before.value, well)


def _holds(grant: DelegatedGrant, tokens: TokenSet) -> bool:
    """Whether the grant holds these tokens already; False when its own do not decrypt."""
    try:
        return grant.refresh_token == tokens.refresh_token
    except SealBroken:
        return False


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


async def claim_account_id(
    app: App, proven: Proven, entry: Stored[DirectoryEntry] | None, holder: Account | None
) -> Stored[DirectoryEntry]:
    """Claim the account's id in the directory, for CLAIM_LIFETIME. Others have to wait meanwhile.

    Raises AccessRefused while another principal's claim is valid, and StaleWrite.
    """
    request, principal, now = proven.request, proven.signed_in.principal, app.clock()
    mine = Claim(principal.id, proven.app.id, request.by, now + CLAIM_LIFETIME)
    if entry is None:
        return await app.stores.directory.insert(DirectoryEntry(request.account, claim=mine))
    theirs = entry.value.claim
    held_up = theirs is not None and theirs.principal_id != principal.id and now < theirs.until
    if held_up and theirs is not None and not (holder and holder.principal_id == theirs.principal_id):
        raise AccessRefused("link_used" if theirs.registration == request.by else "account_busy")
    return await app.stores.directory.replace(entry, replace(entry.value, claim=mine))


async def release_claim(app: App, proven: Proven) -> None:
    """Remove the claim that an earlier attempt of this binding made, because the binding is refused."""
    entry = await app.stores.directory.get(proven.request.account)
    claim = entry and entry.value.claim
    if not entry or not claim or claim.registration != proven.request.by:
        return
    if claim.principal_id != proven.signed_in.principal.id or await account_behind(app, entry):
        return
    with suppress(StaleWrite):  # somebody else claims the id by now
        await app.stores.directory.remove(entry)


async def lapse_claim(app: App, account: str, by: str) -> None:
    """Remove an expired claim of a process that died before it bound anything."""
    entry = await app.stores.directory.get(account)
    claim = entry and entry.value.claim
    if not entry or not claim or claim.registration != by or app.clock() < claim.until:
        return
    if await account_behind(app, entry) is None:
        with suppress(StaleWrite):  # somebody claims the id by now
            await app.stores.directory.remove(entry)


async def confirm_claim(app: App, claimed: Stored[DirectoryEntry], account: Account, before: Partition) -> None:
    """Turn the claim into the account's entry. Raises StaleWrite, with nothing left, when somebody else took the id."""
    try:
        bound = DirectoryEntry(account.id, account.principal_id, account.app)
        await app.stores.directory.replace(claimed, bound)
    except StaleWrite:
        # The claim expired and somebody else took the id. The directory decides, so the row written here must go.
        entry = await app.stores.directory.get(account.id)
        claim = entry.value.claim if entry else None
        ours = entry and account.principal_id in {entry.value.principal_id, claim.principal_id if claim else None}
        # Another tab of the same person leads here too; then the row must stay.
        if not ours and table_key(account.id) not in before.accounts:
            await remove_leftover(app, account)
        raise
