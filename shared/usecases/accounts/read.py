"""Find, read and list accounts."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from shared.domain.account import Account
from shared.domain.caller import Caller
from shared.domain.errors import InvalidInput, NotFound, SealBroken
from shared.domain.formats import normalize_address, normalize_id
from shared.domain.grant import DelegatedGrant
from shared.domain.oauth_app import OAuthApp
from shared.domain.secret import Secret
from shared.ports import App, DirectoryEntry, Stored

# With a cursor. A page of a query that few accounts match may be short.
MAX_ACCOUNTS_SCANNED = 5000
# Without a cursor, to count `total` and `pages`: up to fifty reads of a thousand rows.
MAX_ACCOUNTS_COUNTED = 50_000
CURSOR = "accounts|cursor"
PRINCIPAL_ID = re.compile(r"[0-9a-f-]{36}\.[0-9a-f-]{36}")


class FoundAccount(NamedTuple):
    """An account with its directory entry."""

    entry: Stored[DirectoryEntry]
    account: Stored[Account]


async def find_account(app: App, account: str) -> FoundAccount | None:
    """The bound account with that id, or None."""
    entry = await app.stores.directory.get(account)
    return None if entry is None else await account_behind(app, entry)


async def known_account(app: App, account: str) -> FoundAccount:
    """The bound account with that id. Raises NotFound."""
    found = await find_account(app, account)
    if found is None:
        raise NotFound("No such account")
    return found


async def account_behind(app: App, entry: Stored[DirectoryEntry]) -> FoundAccount | None:
    """The account of a directory entry.

    A claim may have an account too: after a crash between a binding and its confirmation, the row exists already.
    """
    value = entry.value
    claimant = value.claim.principal_id if value.claim else None
    for principal_id in dict.fromkeys((value.principal_id, claimant)):
        stored = await app.stores.principals.account(principal_id, value.account) if principal_id else None
        if stored is not None:
            return FoundAccount(entry, stored)
    return None


class AccountDetails(NamedTuple):
    """An account with its grant and OAuth app, which are None when they no longer exist."""

    account: Account
    grant: DelegatedGrant | None
    app: OAuthApp | None


async def read_account(app: App, account: str) -> AccountDetails:
    """The account with that id, in three point reads. Raises NotFound."""
    stored = (await known_account(app, account)).account.value
    grant = await app.stores.principals.grant(stored.principal_id, stored.app)
    return AccountDetails(stored, grant.value if grant else None, await app.oauth_apps.get(stored.app))


@dataclass(frozen=True, slots=True)
class AccountQuery:
    """Filters for accounts. `page` is zero-based; `cursor` leads to the page after it.

    `query` is part of an id, a name or an address; `app` and `email` match exactly. `authorized_by` is a sign-in name,
    an object id, or both ids of a principal.
    """

    page: int = 0
    page_size: int = 20
    state: str | None = None
    query: str | None = None
    cursor: str | None = None
    app: str | None = None
    email: str | None = None
    authorized_by: str | None = None

    @property
    def principal_id(self) -> str | None:
        """The principal in whose partition all matches are, if the query gives both its ids."""
        name = normalize_id(self.authorized_by or "")
        return name if PRINCIPAL_ID.fullmatch(name) else None

    def normalized(self) -> "AccountQuery":
        """The query with its addresses normalized for `fits`, once for all accounts."""
        email = self.email and normalize_address(self.email)
        return replace(self, email=email, authorized_by=self.authorized_by and normalize_address(self.authorized_by))

    def fits(self, account: Account) -> bool:
        """Whether the account matches the filters that storage does not apply."""
        part = (self.query or "").casefold()
        return (
            any(part in text.casefold() for text in (account.id, account.name, account.email))
            and (self.email is None or self.email == normalize_address(account.email))
            and (self.authorized_by is None or _authorizes(self.authorized_by, account))
        )


class AccountPage(NamedTuple):
    """A page of accounts. `cursor` leads to the next page; None at the end.

    `total` is None after a cursor, and when there are more accounts than are counted.
    """

    accounts: tuple[Account, ...]
    total: int | None
    cursor: str | None


async def list_accounts(
    app: App,
    query: AccountQuery,
    caller: Caller,
    *,
    max_scanned: int = MAX_ACCOUNTS_SCANNED,
    max_counted: int = MAX_ACCOUNTS_COUNTED,
) -> AccountPage:
    """One page of the accounts that the caller may access. Totals and cursors reveal nothing about others.

    Reads at most `max_counted` accounts without a cursor, and `max_scanned` with one, so a page may be short or empty
    and still have a cursor. Raises InvalidInput for a page that begins after the last account that was read.
    """
    query = query.normalized()
    if query.cursor:
        after_cursor = replace(query, cursor=await _unsealed_cursor(app, query.cursor, caller))
        page = await _page_after_cursor(app, after_cursor, caller, max_scanned)
    else:
        page = await _counted_page(app, query, caller, max_counted)
    return page._replace(cursor=await _sealed_cursor(app, page.cursor, caller)) if page.cursor else page


async def _counted_page(app: App, query: AccountQuery, caller: Caller, limit: int) -> AccountPage:
    page: list[Account] = []
    total, read, cursor, last = 0, 0, None, None
    begin, end = query.page * query.page_size, (query.page + 1) * query.page_size
    async for position, account in _matching(app, query):
        if read == limit:
            if total < begin:
                raise InvalidInput({"page": '"page" is too deep; follow "cursor" from page to page instead'})
            return AccountPage(tuple(page), None, last if total < end else cursor)
        last, read = position, read + 1
        if not caller.can_access(account.id) or not query.fits(account):
            continue
        if begin <= total < end:
            page.append(account)
            cursor = position
        total += 1
    return AccountPage(tuple(page), total, cursor if total > end else None)


async def _page_after_cursor(app: App, query: AccountQuery, caller: Caller, limit: int) -> AccountPage:
    page: list[Account] = []
    cursor, read = query.cursor, 0
    async for position, account in _matching(app, query):
        fits = caller.can_access(account.id) and query.fits(account)
        if read == limit or (fits and len(page) == query.page_size):
            return AccountPage(tuple(page), None, cursor)
        if fits:
            page.append(account)
        cursor, read = position, read + 1
    return AccountPage(tuple(page), None, None)


async def _sealed_cursor(app: App, cursor: str, caller: Caller) -> str:
    """Sealed for a bound caller, because it may contain the key of another caller's account."""
    return cursor if caller.binding is None else await app.sealing.sealer.seal(CURSOR, Secret(cursor))


async def _unsealed_cursor(app: App, cursor: str, caller: Caller) -> str:
    """Only sealed cursors of bound callers are valid. Invented ones could reveal where other accounts are."""
    try:
        return cursor if caller.binding is None else (await app.sealing.sealer.unseal(CURSOR, cursor)).reveal()
    except SealBroken:
        raise InvalidInput({"cursor": '"cursor" is not one that was handed out here'}) from None


def _matching(app: App, query: AccountQuery) -> AsyncIterator[tuple[str, Account]]:
    return app.stores.principals.accounts(query.state, query.cursor, app=query.app, principal_id=query.principal_id)


def _authorizes(principal: str, account: Account) -> bool:
    object_id = account.principal_id.partition(".")[2]
    names = map(normalize_address, account.principal_names)
    return principal in {object_id, account.principal_id, *names}
