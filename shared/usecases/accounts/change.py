"""Change and remove accounts."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from shared.domain.account import Account, AccountState
from shared.domain.caller import Scope
from shared.domain.errors import InvalidInput, MissingScope, StaleWrite
from shared.domain.event import EventName
from shared.domain.formats import same_address, table_key
from shared.domain.grant import DelegatedGrant
from shared.ports import App, Change, Partition, Remove, Replace, retry_on_conflict
from shared.usecases.accounts.mailbox_index import forget_mailbox
from shared.usecases.accounts.read import FoundAccount, known_account
from shared.usecases.events.outbox import account_events

log = logging.getLogger(__name__)


class AccountChange(NamedTuple):
    """The changes; None leaves a field unchanged.

    `email` and `expected_email` were proven by a sign-in. A request may repeat them, because some callers send the
    whole account back, but may not change them. `may_switch_on` says whether the caller may switch
    `hand_out` on, which gives every caller with the scope oauth-token more than it had.
    """

    name: str | None = None
    paused: bool | None = None
    hand_out: bool | None = None
    may_switch_on: bool = False
    email: str | None = None
    expected_email: str | None = None


async def change_account(app: App, account: str, change: AccountChange, faults: Mapping[str, str]) -> Account:
    """Rename, pause or resume an account, or switch its hand-out, and return it.

    A paused account's grant is kept alive. `faults` were found while parsing. Raises InvalidInput with all faults,
    MissingScope, NotFound and Conflict.
    """
    return await retry_on_conflict(partial(_read_and_change, app, account, change, faults))


async def _read_and_change(app: App, account: str, change: AccountChange, faults: Mapping[str, str]) -> Account:
    stored = (await known_account(app, account)).account
    before = stored.value
    if all_faults := {**_faults_of_proven_fields(change, before), **faults}:
        raise InvalidInput(all_faults)
    if change.hand_out and not before.hands_out and not change.may_switch_on:
        raise MissingScope([Scope.ADMIN])
    grant = await app.stores.principals.grant(before.principal_id, before.app)
    after = replace(
        _paused_or_resumed(before, change, grant.value if grant else None),
        name=change.name or before.name,
        hands_out=before.hands_out if change.hand_out is None else change.hand_out,
    )
    if after == before:
        return before
    changes: list[Change] = [Replace(after, stored.version)]
    if grant is not None and (after.state, after.hands_out) != (before.state, before.hands_out):
        # Invalidates the copies of the account that instances cache for hand-outs.
        changes.append(Replace(replace(grant.value, bindings=app.entropy(8).hex()), grant.version))
    await app.stores.principals.commit(before.principal_id, changes)
    app.tally.count_change(before, after)
    changed = {"principal": before.principal_id, "state": after.state, "hand_out": after.hands_out}
    log.info("account changed", extra=changed)
    return after


def _paused_or_resumed(account: Account, change: AccountChange, grant: DelegatedGrant | None) -> Account:
    if change.paused is None or change.paused is (account.state is AccountState.PAUSED):
        return account
    return account.paused() if change.paused else account.resumed(grant.state if grant else AccountState.CONNECTED)


def _faults_of_proven_fields(change: AccountChange, account: Account) -> dict[str, str]:
    faults = {}
    if change.email and not same_address(change.email, account.email):
        faults["email"] = (
            '"email" is the mailbox that a sign-in proved access to. For another mailbox, call POST'
            " /v1/authentication/form for this account"
        )
    if change.expected_email and not account.is_authorized_by(change.expected_email):
        faults["expectedEmail"] = (
            '"expectedEmail" is the person who authorizes the account. For another person, call POST'
            ' /v1/authentication/form with "allowPrincipalChange"'
        )
    return faults


class Removed(NamedTuple):
    """The number of accounts that the grant still serves. With none left, its tokens were deleted."""

    still_served: int


async def remove_account(app: App, account: str) -> Removed:
    """Remove an account, end its open links, and delete the grant with its last account. Raises NotFound and Conflict.

    The row in the principal's partition is removed first. A directory entry without that row is no account, and its id
    is free.
    """
    found = await known_account(app, account)
    await app.stores.registrations.end_links(account)
    removed = await remove_account_row(app, found.account.value, with_event=True)
    with suppress(StaleWrite):  # another principal has claimed the id already
        await app.stores.directory.remove(found.entry)
        await _remove_unconfirmed_row(app, found)
    await forget_mailbox(app, found.account.value)
    log.info("account removed", extra={"principal": found.account.value.principal_id})
    return removed


async def remove_account_row(
    app: App, account: Account, *, with_event: bool = False, if_unchanged: bool = False
) -> Removed:
    """Remove the account's row from its principal's partition, and the grant with its last account.

    `if_unchanged` skips a row that has changed since it was read. Raises Conflict.
    """
    return await retry_on_conflict(partial(_remove_row, app, account, with_event=with_event, if_unchanged=if_unchanged))


async def _remove_row(app: App, account: Account, *, with_event: bool, if_unchanged: bool) -> Removed:
    partition = await app.stores.principals.partition(account.principal_id)
    changes = _removal(app, account, partition, if_unchanged=if_unchanged)
    removed = Removed(len(partition.served_by(account.app)) - len(changes[:1]))
    if not changes:
        return removed
    if with_event:
        # The row contains the time of the last event, so this event is ordered only in the same transaction.
        current = partition.accounts[table_key(account.id)].value
        changes += (await account_events(app, current, [EventName.ACCOUNT_DELETED]))[1]
    await app.stores.principals.commit(account.principal_id, changes)
    for change in changes:
        if isinstance(change, Remove) and isinstance(change.record, (Account, DelegatedGrant)):
            app.tally.count_change(change.record, None)
    return removed


async def _remove_unconfirmed_row(app: App, found: FoundAccount) -> None:
    """Remove the row of a principal whose process crashed while it was taking over the account."""
    claim = found.entry.value.claim
    if claim is None or claim.principal_id == found.account.value.principal_id:
        return
    unconfirmed = await app.stores.principals.account(claim.principal_id, found.account.value.id)
    if unconfirmed is not None:
        await remove_account_row(app, unconfirmed.value, if_unchanged=True)


def _removal(app: App, account: Account, partition: Partition, *, if_unchanged: bool) -> list[Change]:
    stored = partition.accounts.get(table_key(account.id))
    if stored is None or (if_unchanged and stored.value != account):
        return []
    changes: list[Change] = [Remove(stored.value, stored.version)]
    grant = partition.grants.get(stored.value.app)
    if grant is not None:
        is_last = len(partition.served_by(stored.value.app)) == 1
        kept_grant = replace(grant.value, bindings=app.entropy(8).hex())
        changes.append(Remove(grant.value, grant.version) if is_last else Replace(kept_grant, grant.version))
    if partition.bindings is not None:
        bindings, version = partition.bindings.value, partition.bindings.version
        kept_bindings = replace(bindings, changed=app.clock())
        changes.append(Remove(bindings, version) if len(partition.accounts) == 1 else Replace(kept_bindings, version))
    return changes
