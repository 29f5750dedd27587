"""An account and its grant, from storage or as this process remembers them."""

from typing import NamedTuple

from shared.domain.account import MAILBOX_REPLACED, Account, AccountState
from shared.domain.clouds import Resource
from shared.domain.errors import NotAuthorized, NotFound
from shared.domain.formats import table_key
from shared.domain.grant import DelegatedGrant
from shared.domain.remedy import Reader, remedy
from shared.ports import App, CachedAccount, Stored
from shared.usecases.accounts.read import known_account

MAX_CACHED_ACCOUNTS = 10_000


class AccountGrant(NamedTuple):
    """An account, and the grant that serves it."""

    account: Account
    grant: Stored[DelegatedGrant]


async def look_up_account(app: App, account_id: str) -> AccountGrant:
    """Read the account and its grant; one point read if the account is cached, because the grant says if it is valid.

    Raises NotFound, and NotAuthorized if the account is paused or its address now leads to another mailbox.
    """
    found = await _cached_account(app, account_id)
    if code := _refusal_code(found.account):
        raise not_authorized(code)
    return found


def _refusal_code(account: Account) -> str | None:
    if account.state is AccountState.PAUSED:
        return "account_paused"
    return None if account.replaced_since is None else MAILBOX_REPLACED


def remembered_account(app: App, account_id: str, resource: Resource | None) -> AccountGrant | None:
    """The account and its grant as this process remembers them, if they have a token to use.

    A refusal is never remembered: only storage says so.
    """
    cached = app.caches.accounts.get(table_key(account_id))
    if cached is None or _refusal_code(cached.account):
        return None
    stored = app.stores.principals.remembered_grant(cached.account.principal_id, cached.account.app)
    if stored is None or stored.value.bindings != cached.bindings:
        return None
    return AccountGrant(cached.account, stored) if stored.value.has_usable_token(app.clock(), resource) else None


async def _cached_account(app: App, account_id: str) -> AccountGrant:
    cached = app.caches.accounts.get(table_key(account_id))
    if cached is not None:
        stored = await app.stores.principals.grant(cached.account.principal_id, cached.account.app, remember=True)
        if stored is not None and stored.value.bindings == cached.bindings:
            return AccountGrant(cached.account, stored)
    app.caches.accounts.pop(table_key(account_id), None)
    found = (await known_account(app, account_id)).account.value
    # The account is read again after its grant: then it was bound while the grant had these `bindings`.
    stored = await app.stores.principals.grant(found.principal_id, found.app, remember=True)
    account = await app.stores.principals.account(found.principal_id, found.id)
    if stored is None or account is None:
        raise NotFound("No such account")
    app.caches.accounts[table_key(found.id)] = CachedAccount(account.value, stored.value.bindings)
    if len(app.caches.accounts) > MAX_CACHED_ACCOUNTS:
        app.caches.accounts.popitem(last=False)
    return AccountGrant(account.value, stored)


def not_authorized(code: str) -> NotAuthorized:
    """The refusal of a call that needs a person's action first, with the text that tells callers so."""
    return NotAuthorized(code, remedy(code, Reader.CALLER).message)
