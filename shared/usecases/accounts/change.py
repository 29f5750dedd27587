"""Change and remove accounts."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from shared.domain.account import Account, AccountState
from shared.domain.errors import InvalidInput, StaleWrite
from shared.domain.event import EventName
from shared.domain.formats import same_address, table_key
from shared.domain.grant import DelegatedGrant
from shared.ports import App, Change, Partition, Remove, Replace, retry_on_conflict
from shared.usecases.accounts.read import Found, known_account
from shared.usecases.events.outbox import account_events

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AccountChange:
    """The changes; None leaves a field as it is.

    `email` and `expected_email` were proven by a sign-in. A request may repeat them, as callers do who send back the
    whole account, but not change them.
    """

    name: str | None = None
    paused: bool | None = None
    email: str | None = None
    expected_email: str | None = None


async def change_account(app: App, account: str, change: AccountChange, faults: Mapping[str, str]) -> Account:
    """Rename an account, pause or resume it, and return it. A paused account's grant is kept alive.

    `faults` were found while the request was parsed. Raises InvalidInput with all faults, NotFound, and Conflict after
    too many lost races.
    """
    return await retry_on_conflict(partial(_read_and_change, app, account, change, faults))


async def _read_and_change(app: App, account: str, change: AccountChange, faults: Mapping[str, str]) -> Account:
    stored = (await known_account(app, account)).account
    before = stored.value
    if all_faults := {**_proven(change, before), **faults}:
        raise InvalidInput(all_faults)
    grant = await app.stores.principals.grant(before.principal_id, before.app)
    after = replace(_switched(before, change, grant.value if grant else None), name=change.name or before.name)
    if after == before:
        return before
    changes: list[Change] = [Replace(after, stored.version)]
    if grant is not None and after.state is not before.state:
        # Cached copies of the account are no longer valid for hand-outs.
        told = replace(grant.value, bindings=app.entropy(8).hex())
        changes.append(Replace(told, grant.version))
    await app.stores.principals.commit(before.principal_id, changes)
    app.tally.moved(before, after)
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


@dataclass(frozen=True, slots=True)
class Removed:
    """How many accounts the grant still serves; with none left its tokens are deleted."""

    still_served: int


async def remove_account(app: App, account: str) -> Removed:
    """Remove an account, end its open links, and delete the grant with its last account. Raises NotFound and Conflict.

    The row in the principal's partition goes first: a directory entry without one is no account, and its id is free.
    """
    found = await known_account(app, account)
    await app.stores.registrations.end_links(account)
    removed = await remove_leftover(app, found.account.value, tell=True)
    with suppress(StaleWrite):  # somebody claims the id already, and the entry is theirs
        await app.stores.directory.remove(found.entry)
        await _remove_unconfirmed(app, found)
    log.info("account removed", extra={"principal": found.account.value.principal_id})
    return removed


async def remove_leftover(app: App, account: Account, *, tell: bool = False, as_seen: bool = False) -> Removed:
    """Remove the account's row from its principal's partition, and the grant with the last one.

    With `tell` there is an event. `as_seen` leaves a row alone that has changed since. Raises Conflict.
    """
    return await retry_on_conflict(partial(_remove_row, app, account, tell=tell, as_seen=as_seen))


async def _remove_row(app: App, account: Account, *, tell: bool, as_seen: bool) -> Removed:
    partition = await app.stores.principals.partition(account.principal_id)
    changes = _removal(app, account, partition, as_seen=as_seen)
    removed = Removed(len(partition.served_by(account.app)) - len(changes[:1]))
    if not changes:
        return removed
    if tell:
        # The row holds the time of the account's last event, so the event must be in the same transaction.
        current = partition.accounts[table_key(account.id)].value
        changes += (await account_events(app, current, [EventName.ACCOUNT_DELETED]))[1]
    await app.stores.principals.commit(account.principal_id, changes)
    for change in changes:
        if isinstance(change, Remove) and isinstance(change.record, (Account, DelegatedGrant)):
            app.tally.moved(change.record, None)
    return removed


async def _remove_unconfirmed(app: App, found: Found) -> None:
    """Remove the row of a principal whose process died while it was taking the account over."""
    claim = found.entry.value.claim
    if claim is None or claim.principal_id == found.account.value.principal_id:
        return
    theirs = await app.stores.principals.account(claim.principal_id, found.account.value.id)
    if theirs is not None:
        await remove_leftover(app, theirs.value, as_seen=True)


def _removal(app: App, account: Account, partition: Partition, *, as_seen: bool) -> list[Change]:
    mine = partition.accounts.get(table_key(account.id))
    if mine is None or (as_seen and mine.value != account):
        return []
    changes: list[Change] = [Remove(mine.value, mine.version)]
    grant = partition.grants.get(mine.value.app)
    if grant is not None:
        last = len(partition.served_by(mine.value.app)) == 1
        left = replace(grant.value, bindings=app.entropy(8).hex())
        changes.append(Remove(grant.value, grant.version) if last else Replace(left, grant.version))
    if partition.bindings is not None:
        known, version = partition.bindings.value, partition.bindings.version
        left_over = replace(known, changed=app.clock())
        changes.append(Remove(known, version) if len(partition.accounts) == 1 else Replace(left_over, version))
    return changes
