"""List accounts, a page at a time."""

from dataclasses import dataclass

from shared.domain.account import Account
from shared.domain.caller import Caller
from shared.ports import Principals
from shared.usecases import use_case


@dataclass(frozen=True, slots=True)
class AccountQuery:
    """Which accounts: zero-based `page`, or whatever follows `cursor`. `query` is a part of id, name or address."""

    page: int = 0
    page_size: int = 20
    state: str | None = None
    query: str | None = None
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class AccountPage:
    """A page; `total` is not counted behind a cursor. `cursor` leads to the next page, None at the end."""

    accounts: tuple[Account, ...]
    total: int | None
    cursor: str | None


@use_case
class ListAccounts:
    """Reads the truth itself, so that a state shown is a state held."""

    principals: Principals

    async def __call__(self, query: AccountQuery, caller: Caller) -> AccountPage:
        """One page of what the caller reaches. Others show in no total and in no cursor.

        With a cursor it costs one page; without, as much as counting all accounts does.
        """
        skip = 0 if query.cursor else query.page * query.page_size
        page: list[Account] = []
        total, cursor, more = 0, None, False
        async for position, account in self.principals.accounts(query.state, query.cursor):
            if not caller.may_reach(account.id) or not _matches(account, query.query):
                continue
            total += 1
            if total <= skip:
                continue
            if len(page) < query.page_size:
                page.append(account)
                cursor = position
                continue
            more = True
            if query.cursor:
                break
        return AccountPage(tuple(page), None if query.cursor else total, cursor if more else None)


def _matches(account: Account, part: str | None) -> bool:
    wanted = (part or "").casefold()
    return any(wanted in text.casefold() for text in (account.id, account.name, account.email))
