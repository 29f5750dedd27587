"""List accounts, a page at a time."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from shared.domain.account import Account
from shared.domain.caller import Caller
from shared.domain.errors import InvalidInput, SealBroken
from shared.domain.identity import normalize_address, normalize_id
from shared.domain.secret import Secret
from shared.ports import Principals, Sealer
from shared.usecases import use_case

# Behind a cursor a page that hardly anything fits comes back short, rather than look through a million accounts.
LOOKED_AT = 5000
# Without a cursor all are counted, for `total` and `pages`: up to fifty reads of a thousand rows.
COUNTED = 50_000
CURSOR = "accounts|cursor"
PRINCIPAL_ID = re.compile(r"[0-9a-f-]{36}\.[0-9a-f-]{36}")


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


@use_case
class ListAccounts:
    """Reads the truth itself, so that a state shown is a state held."""

    principals: Principals
    sealer: Sealer

    async def __call__(self, query: AccountQuery, caller: Caller) -> AccountPage:
        """One page of what the caller reaches. Others show in no total and in no cursor.

        Without a cursor it counts, and looks at COUNTED accounts at most; with one, at LOOKED_AT. So a page may be
        short, or even empty, although its own cursor leads on. Raises InvalidInput for a page that begins behind what
        was looked at.
        """
        query = query.normalized()
        if query.cursor:
            page = await self._behind(replace(query, cursor=await self._opened(query.cursor, caller)), caller)
        else:
            page = await self._counted(query, caller)
        return replace(page, cursor=await self._sealed(page.cursor, caller)) if page.cursor else page

    async def _counted(self, query: AccountQuery, caller: Caller) -> AccountPage:
        page: list[Account] = []
        total, looked, cursor, last = 0, 0, None, None
        begin, end = query.page * query.page_size, (query.page + 1) * query.page_size
        async for position, account in self._found(query):
            if looked == COUNTED:
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

    async def _behind(self, query: AccountQuery, caller: Caller) -> AccountPage:
        page: list[Account] = []
        cursor, looked = query.cursor, 0
        async for position, account in self._found(query):
            fits = caller.can_access(account.id) and query.fits(account)
            if looked == LOOKED_AT or (fits and len(page) == query.page_size):
                return AccountPage(tuple(page), None, cursor)
            if fits:
                page.append(account)
            cursor, looked = position, looked + 1
        return AccountPage(tuple(page), None, None)

    async def _sealed(self, cursor: str, caller: Caller) -> str:
        """For a bound caller, because a look may end at an account that is none of theirs."""
        return cursor if caller.binding is None else await self.sealer.seal(CURSOR, Secret(cursor))

    async def _opened(self, cursor: str, caller: Caller) -> str:
        """A bound caller's are sealed: with made-up ones they could find out where accounts lie that are not theirs."""
        try:
            return cursor if caller.binding is None else (await self.sealer.unseal(CURSOR, cursor)).reveal()
        except SealBroken:
            raise InvalidInput({"cursor": '"cursor" is not one that was handed out here'}) from None

    def _found(self, query: AccountQuery) -> AsyncIterator[tuple[str, Account]]:
        return self.principals.accounts(query.state, query.cursor, app=query.app, principal_id=query.principal_id)


def _authorizes(wanted: str, account: Account) -> bool:
    object_id = account.principal_id.partition(".")[2]
    return wanted in {object_id, account.principal_id, normalize_address(account.sign_in_name)}
