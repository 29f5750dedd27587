"""Find the accounts through which a caller may use a mailbox."""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import batched

from shared.domain.account import Account
from shared.domain.caller import Caller
from shared.domain.errors import NotFound
from shared.domain.mailbox import BoundMailbox
from shared.ports import App
from shared.usecases.accounts.read import find_account
from shared.usecases.tokens.account_grant import remembered_account

NO_SUCH_MAILBOX = (
    "No such mailbox for this caller. Name the address of a bound mailbox, or the id of its account; GET /v1/accounts"
    " lists those that this caller may use"
)
ACCOUNTS_READ_AT_ONCE = 8


async def find_accounts(app: App, caller: Caller, mailbox: str) -> Sequence[str]:
    """The ids of the accounts that bind the mailbox and that the caller may use; the first is healthy if any is.

    `mailbox` is an address, or else the id of an account. What this process remembers costs no request. Otherwise an
    address costs one read of the index, as long as the caller may use one account of it. The index may be ahead of an
    account, or behind it: who calls this checks that the account `is_named` so. Raises NotFound, in the same words for
    a mailbox that is not bound and for that of others.
    """
    if "@" in mailbox:
        mailboxes = app.stores.mailboxes
        usable = _usable_by(caller, mailboxes.remembered_accounts_of(mailbox))
        usable = usable or _usable_by(caller, await mailboxes.accounts_of(mailbox))
        if len(usable) > 1:
            usable = await _healthy_first(app, mailbox, usable)
        if usable:
            return usable
    return [await _account_id(app, caller, mailbox)]


def _usable_by(caller: Caller, rows: Iterable[BoundMailbox]) -> list[str]:
    return [row.account for row in rows if caller.can_access(row.account)]


async def _account_id(app: App, caller: Caller, name: str) -> str:
    """The id in the spelling in which it was bound."""
    if caller.can_access(name):
        if remembered := remembered_account(app, name, None):
            return remembered.account.id
        if found := await find_account(app, name):
            return found.account.value.id
    raise NotFound(NO_SUCH_MAILBOX)


async def _healthy_first(app: App, mailbox: str, account_ids: Sequence[str]) -> list[str]:
    """Those that bind the mailbox. Reads no more of them once one is healthy: a mailbox may have hundreds."""
    for account_id in account_ids:
        remembered = remembered_account(app, account_id, None)
        if remembered is not None and remembered.account.is_healthy and remembered.account.is_named(mailbox):
            return [remembered.account.id]
    accounts = list[Account]()
    for batch in batched(account_ids, ACCOUNTS_READ_AT_ONCE, strict=False):
        found = await asyncio.gather(*(find_account(app, account_id) for account_id in batch))
        read = [each.account.value for each in found if each is not None]
        accounts += [account for account in read if account.is_named(mailbox)]
        if any(account.is_healthy for account in accounts):
            break
    return [account.id for account in sorted(accounts, key=lambda account: not account.is_healthy)]
