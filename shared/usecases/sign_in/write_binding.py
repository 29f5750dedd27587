"""Write one binding: claim the account id, write grant, account and events in one transaction, confirm the claim."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import batched
from typing import NamedTuple

from shared.domain.account import Account, AccountState, PrincipalBindings
from shared.domain.errors import SealBroken, StaleWrite
from shared.domain.event import EventName
from shared.domain.formats import same_address, same_id, table_key
from shared.domain.grant import DelegatedGrant
from shared.domain.hand_out import switch_when_bound
from shared.domain.invited_mailbox import BindRequest, PendingAccount
from shared.domain.mailbox import BoundMailbox
from shared.domain.oauth_app import OAuthApp
from shared.domain.tokens import TokenSet
from shared.domain.work import Work
from shared.ports import (
    App,
    Change,
    Claim,
    DirectoryEntry,
    Insert,
    Partition,
    Remove,
    Replace,
    SignedIn,
    Stored,
    put_change,
)
from shared.usecases.accounts.change import remove_account_row
from shared.usecases.accounts.read import account_behind
from shared.usecases.events.outbox import account_events
from shared.usecases.sign_in.proof import AccessRefused, Proof

# Each account is written with its event, and a transaction has at most 100 rows (Table service: entity group
# transactions).
MAX_RECOVERED_PER_TRANSACTION = 50
CLAIM_LIFETIME = timedelta(minutes=2)


class ProvenRequest(NamedTuple):
    """A request to bind, the OAuth app, the person who signed in, and the proof that the mailbox opened for them."""

    request: BindRequest
    app: OAuthApp
    signed_in: SignedIn
    proof: Proof


async def write_transaction(app: App, proven: ProvenRequest, partition: Partition, holder: Account | None) -> Account:
    """Write the binding in the principal's partition. Returns the bound account, which replaces `holder`.

    Raises StaleWrite and AccessRefused.
    """
    stored_grant = partition.grants.get(proven.app.id)
    stored_account = partition.accounts.get(table_key(proven.request.account))
    previous = holder or (stored_account.value if stored_account else None)
    hands_out = _hand_out_switch(app, proven.request, previous, partition)
    grant, account = _bound_grant(app, proven, stored_grant), _bound_account(app, proven, holder, hands_out=hands_out)
    await app.stores.mailboxes.put(BoundMailbox.of(account))
    if grant.due is not None:
        await app.stores.agenda.add(Work(grant.work, grant.due, account.principal_id, grant.app))
    account_row, events = await account_events(app, account, _event_names(previous, account), before=previous)
    changes: list[Change] = [
        put_change(stored_grant, grant),
        put_change(stored_account, account_row),
        put_change(partition.bindings, PrincipalBindings(account.principal_id, app.clock())),
        *events,
    ]
    changes += [
        _without_account(stored, account.id)
        for stored in partition.pending.values()
        if stored.value.registration == proven.request.by and stored.value.includes(account.id)
    ]
    if stored_account is not None and stored_account.value.app != grant.app:
        changes += _leave_grant(app, partition, stored_account.value.app)
    await _recover_siblings(app, partition, account)
    await app.stores.principals.commit(account.principal_id, changes)
    app.tally.count_change(stored_account.value if stored_account else None, account)
    app.tally.count_change(stored_grant.value if stored_grant else None, grant)
    return account


def _hand_out_switch(app: App, request: BindRequest, previous: Account | None, partition: Partition) -> bool:
    # Changing a switch writes the grant's row, as this binding does, so the source's switch here is the current one.
    source = partition.accounts.get(table_key(request.through)) if request.through is not None else None
    return switch_when_bound(
        previous,
        source.value if source else None,
        requested=request.hand_out,
        is_further=request.through is not None,
        setting=app.config.hand_out,
    )


def _bound_account(app: App, proven: ProvenRequest, holder: Account | None, *, hands_out: bool) -> Account:
    request, principal, proof, now = proven.request, proven.signed_in.principal, proven.proof, app.clock()
    if holder is not None:
        has_same_address = same_address(holder.email, proof.email)
        return replace(
            holder.reauthorized(principal, request.by, now),
            name=proof.name if request.may_change else holder.name,
            email=proof.email,
            app=proven.app.id,
            through=request.through,
            inbox_id=proof.inbox_id or (holder.inbox_id if has_same_address else None),
            hands_out=hands_out,
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
        hands_out=hands_out,
    )


def _bound_grant(app: App, proven: ProvenRequest, before: Stored[DelegatedGrant] | None) -> DelegatedGrant:
    """The grant with the tokens of the sign-in. A further account keeps the tokens of the grant that it uses."""
    tokens, now, bindings = proven.signed_in.tokens, app.clock(), app.entropy(8).hex()
    if proven.request.through is not None:
        if before is None or before.value.state is not AccountState.CONNECTED:
            error = before.value.last_error if before else None
            raise AccessRefused(error.code if error else "needs_sign_in")
        return replace(before.value, bindings=bindings)
    if before is not None:
        # After a retry, or for the next mailbox of the same sign-in, the tokens are stored already.
        is_current = before.value.state is AccountState.CONNECTED and _has_tokens(before.value, tokens)
        updated = before.value if is_current else before.value.reauthorized(tokens, now, app.jitter())
        return replace(updated, bindings=bindings, principal=proven.signed_in.principal)
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


def _leave_grant(app: App, partition: Partition, app_id: str) -> list[Change]:
    """Remove the account from the grant of its former OAuth app; the grant is deleted with its last account."""
    stored = partition.grants.get(app_id)
    if stored is None:
        return []
    if len(partition.served_by(app_id)) == 1:
        return [Remove(stored.value, stored.version)]
    return [Replace(replace(stored.value, bindings=app.entropy(8).hex()), stored.version)]


async def _recover_siblings(app: App, partition: Partition, account: Account) -> None:
    """Clear the errors of the grant's other accounts, because the new tokens are valid for them too, and rename them.

    They are written before the grant, in several transactions, because they may be more than one transaction can hold.
    If the process dies in between, the person's link still works, and the next attempt has the same result.
    """
    siblings = (stored for stored in partition.served_by(account.app) if not same_id(stored.value.id, account.id))
    outdated = [
        stored
        for stored in siblings
        if stored.value.has_grant_error or stored.value.sign_in_name != account.sign_in_name
    ]
    for batch in batched(outdated, MAX_RECOVERED_PER_TRANSACTION, strict=False):
        recovered = await asyncio.gather(*(_recovered(app, stored.value, account.sign_in_name) for stored in batch))
        changes: list[Change] = []
        for stored, (account_row, events) in zip(batch, recovered, strict=True):
            changes += [Replace(account_row, stored.version), *events]
        await app.stores.principals.commit(account.principal_id, changes)
        for stored, (account_row, _) in zip(batch, recovered, strict=True):
            app.tally.count_change(stored.value, account_row)


async def _recovered(app: App, account: Account, sign_in_name: str) -> tuple[Account, list[Insert]]:
    """The account with the principal's name and without the grant's error; the end of an error is an event."""
    named = account.renamed(sign_in_name)
    if not account.has_grant_error:
        return named, []
    return await account_events(app, named.recovered(), [EventName.AUTHENTICATION_SUCCESS])


def _has_tokens(grant: DelegatedGrant, tokens: TokenSet) -> bool:
    """Whether the grant already has these tokens; False when its own cannot be decrypted."""
    try:
        return grant.refresh_token == tokens.refresh_token
    except SealBroken:
        return False


def _without_account(stored: Stored[PendingAccount], account_id: str) -> Change:
    remaining = stored.value.without(account_id)
    return Remove(stored.value, stored.version) if remaining is None else Replace(remaining, stored.version)


def _event_names(before: Account | None, account: Account) -> list[EventName]:
    if before is None:
        return [EventName.ACCOUNT_ADDED, EventName.ACCOUNT_INITIALIZED]
    has_new_principal = before.principal_id != account.principal_id
    has_new_inbox = before.inbox_id is not None and account.inbox_id not in {None, before.inbox_id}
    has_new_mailbox = has_new_inbox or not same_address(before.email, account.email)
    names = [EventName.ACCOUNT_CHANGED] if has_new_principal or has_new_mailbox else []
    return [*names, EventName.AUTHENTICATION_SUCCESS] if has_new_principal or before.last_error is not None else names


async def claim_account_id(
    app: App, proven: ProvenRequest, entry: Stored[DirectoryEntry] | None, holder: Account | None
) -> Stored[DirectoryEntry]:
    """Claim the account id in the directory, for CLAIM_LIFETIME. Nobody else can bind it meanwhile.

    Raises AccessRefused while another principal's claim is valid, and StaleWrite.
    """
    request, principal, now = proven.request, proven.signed_in.principal, app.clock()
    own_claim = Claim(principal.id, proven.app.id, request.by, now + CLAIM_LIFETIME)
    if entry is None:
        return await app.stores.directory.insert(DirectoryEntry(request.account, claim=own_claim))
    claim = entry.value.claim
    is_holder = claim is not None and holder is not None and holder.principal_id == claim.principal_id
    if claim is not None and claim.principal_id != principal.id and now < claim.until and not is_holder:
        raise AccessRefused("link_used" if claim.registration == request.by else "account_busy")
    return await app.stores.directory.replace(entry, replace(entry.value, claim=own_claim))


async def release_claim(app: App, proven: ProvenRequest) -> None:
    """Remove the claim of an earlier attempt, because the binding is refused."""
    entry = await app.stores.directory.get(proven.request.account)
    claim = entry.value.claim if entry else None
    if entry is None or claim is None or claim.registration != proven.request.by:
        return
    if claim.principal_id == proven.signed_in.principal.id:
        await _remove_unused(app, entry)


async def remove_expired_claim(app: App, account_id: str, registration_id: str) -> None:
    """Remove the claim of a process that died before it bound the account, once the claim has expired."""
    entry = await app.stores.directory.get(account_id)
    claim = entry.value.claim if entry else None
    if entry is None or claim is None or claim.registration != registration_id or app.clock() < claim.until:
        return
    await _remove_unused(app, entry)


async def _remove_unused(app: App, entry: Stored[DirectoryEntry]) -> None:
    if await account_behind(app, entry) is None:
        with suppress(StaleWrite):  # another principal has claimed the id
            await app.stores.directory.remove(entry)


async def confirm_claim(app: App, claimed: Stored[DirectoryEntry], account: Account, before: Partition) -> None:
    """Turn the claim into the account's entry. Raises StaleWrite, with nothing left behind, if the id was taken."""
    try:
        entry = DirectoryEntry(account.id, account.principal_id, account.app)
        await app.stores.directory.replace(claimed, entry)
    except StaleWrite:
        # The claim expired and another principal took the id. The directory decides, so the account just written must
        # be removed. If another tab of the same person wrote the entry, the account must stay.
        current = await app.stores.directory.get(account.id)
        claim = current.value.claim if current else None
        owners = {current.value.principal_id, claim.principal_id if claim else None} if current else set()
        if account.principal_id not in owners and table_key(account.id) not in before.accounts:
            await remove_account_row(app, account)
        raise
