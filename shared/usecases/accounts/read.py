"""Find, read and list accounts."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from shared.domain.account import Account
from shared.domain.caller import Caller
from shared.domain.errors import InvalidInput, NotFound, SealBroken
from shared.domain.formats import normalize_address, normalize_id
from shared.domain.grant import DelegatedGrant
from shared.domain.oauth_app import OAuthApp
from shared.domain.secret import Secret
from shared.ports import App, DirectoryEntry, Stored

# With a cursor: a page of a query that hardly any account matches comes back short.
MAX_ACCOUNTS_SCANNED = 5000
# Without one, where all are counted for `total` and `pages`: up to fifty reads of a thousand rows.
MAX_ACCOUNTS_COUNTED = 50_000
CURSOR = "accounts|cursor"
PRINCIPAL_ID = re.compile(r"[0-9a-f-]{36}\.[0-9a-f-]{36}")


@dataclass(frozen=True, slots=True)
class Found:
    """An account with the directory's entry for it."""

    entry: Stored[DirectoryEntry]
    account: Stored[Account]


async def find_account(app: App, account: str) -> Found | None:
    """The bound account of that id, or None."""
    entry = await app.stores.directory.get(account)
    return None if entry is None else await account_behind(app, entry)


async def known_account(app: App, account: str) -> Found:
    """The bound account of that id. Raises NotFound."""
    found = await find_account(app, account)
    if found is None:
        raise NotFound("No such account")
    return found


async def account_behind(app: App, entry: Stored[DirectoryEntry]) -> Found | None:
    """The account that an entry leads to.

    A claim leads somewhere too: after a crash between the binding and its confirmation, the account is there.
    """
    value = entry.value
    claimant = value.claim.principal_id if value.claim else None
    for principal_id in dict.fromkeys((value.principal_id, claimant)):
        stored = await app.stores.principals.account(principal_id, value.account) if principal_id else None
        if stored is not None:
            return Found(entry, stored)
    return None


@dataclass(frozen=True, slots=True)
class AccountDetails:
    """An account; its grant and its OAuth app are None when they are gone."""

    account: Account
    grant: DelegatedGrant | None
    app: OAuthApp | None


async def read_account(app: App, account: str) -> AccountDetails:
    """The account of that id, in three point reads. Raises NotFound."""
    found = await known_account(app, account)
    held = found.account.value
    grant = await app.stores.principals.grant(held.principal_id, held.app)
    return AccountDetails(held, grant.value if grant else None, await app.oauth_apps.get(held.app))


@dataclass(frozen=True, slots=True)
class AccountQuery:
    """Which accounts: zero-based `page`, or whatever follows `cursor`. `query` is a part of id, name or address.

    `app` and `email` are exact. `authorized_by` is a sign-in name, an object id, or both ids of a principal.
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
        """The principal whose partition holds all that fits, if the query names one."""
        name = normalize_id(self.authorized_by or "")
        return name if PRINCIPAL_ID.fullmatch(name) else None

    def normalized(self) -> "AccountQuery":
        """The query with its addresses as `fits` compares them: made once, however many accounts are looked at."""
        email = self.email and normalize_address(self.email)
        return replace(self, email=email, authorized_by=self.authorized_by and normalize_address(self.authorized_by))

    def fits(self, account: Account) -> bool:
        """Whether the account is one of those, as far as storage cannot tell."""
        part = (self.query or "").casefold()
        return (
            any(part in text.casefold() for text in (account.id, account.name, account.email))
            and (self.email is None or self.email == normalize_address(account.email))
            and (self.authorized_by is None or _authorizes(self.authorized_by, account))
        )


@dataclass(frozen=True, slots=True)
class AccountPage:
    """A page. `cursor` leads to the next page, None at the end.

    `total` is None behind a cursor, and where there are more than are counted.
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
    """One page of the accounts that the caller may reach. Others show in no total and in no cursor.

    It reads at most `max_counted` accounts without a cursor, and `max_scanned` with one. So a page may be short, or
    even empty, although its cursor leads on. Raises InvalidInput for a page that begins beyond what was read.
    """
    query = query.normalized()
    if query.cursor:
        opened = replace(query, cursor=await _opened_cursor(app, query.cursor, caller))
        page = await _page_behind(app, opened, caller, max_scanned)
    else:
        page = await _counted_page(app, query, caller, max_counted)
    return replace(page, cursor=await _sealed_cursor(app, page.cursor, caller)) if page.cursor else page


async def _counted_page(app: App, query: AccountQuery, caller: Caller, limit: int) -> AccountPage:
    page: list[Account] = []
    total, looked, cursor, last = 0, 0, None, None
    begin, end = query.page * query.page_size, (query.page + 1) * query.page_size
    async for position, account in _matching(app, query):
        if looked == limit:
            if total < begin:
                raise InvalidInput({"page": '"page" is too deep; follow "cursor" from page to page instead'})
            return AccountPage(tuple(page), None, last if total < end else cursor)
        last, looked = position, looked + 1
        if not caller.can_access(account.id) or not query.fits(account):
            continue
        if begin <= total < end:
            page.append(account)
            cursor = position
        total += 1
    return AccountPage(tuple(page), total, cursor if total > end else None)


async def _page_behind(app: App, query: AccountQuery, caller: Caller, limit: int) -> AccountPage:
    page: list[Account] = []
    cursor, looked = query.cursor, 0
    async for position, account in _matching(app, query):
        fits = caller.can_access(account.id) and query.fits(account)
        if looked == limit or (fits and len(page) == query.page_size):
            return AccountPage(tuple(page), None, cursor)
        if fits:
            page.append(account)
        cursor, looked = position, looked + 1
    return AccountPage(tuple(page), None, None)


async def _sealed_cursor(app: App, cursor: str, caller: Caller) -> str:
    """For a bound caller, because a look may end at an account that is none of theirs."""
    return cursor if caller.binding is None else await app.sealing.sealer.seal(CURSOR, Secret(cursor))


async def _opened_cursor(app: App, cursor: str, caller: Caller) -> str:
    """A bound caller's are sealed: with made-up ones they could find out where accounts lie that are not theirs."""
    try:
        return cursor if caller.binding is None else (await app.sealing.sealer.unseal(CURSOR, cursor)).reveal()
    except SealBroken:
        raise InvalidInput({"cursor": '"cursor" is not one that was handed out here'}) from None


def _matching(app: App, query: AccountQuery) -> AsyncIterator[tuple[str, Account]]:
    return app.stores.principals.accounts(query.state, query.cursor, app=query.app, principal_id=query.principal_id)


def _authorizes(wanted: str, account: Account) -> bool:
    object_id = account.principal_id.partition(".")[2]
    return wanted in {object_id, account.principal_id, normalize_address(account.sign_in_name)}
