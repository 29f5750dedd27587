"""Find the accounts through which a caller may use a mailbox."""

import asyncio
from collections.abc import Sequence
from itertools import batched

from shared.domain.account import Account
from shared.domain.caller import Caller
from shared.domain.errors import NotFound
from shared.ports import App
from shared.usecases.accounts.read import find_account

NO_SUCH_MAILBOX = (
    "No such mailbox for this caller. Name the address of a bound mailbox, or the id of its account; GET /v1/accounts"
    " lists those that this caller may use"
)
ACCOUNTS_READ_AT_ONCE = 8


async def find_accounts(app: App, caller: Caller, mailbox: str) -> Sequence[str]:
    """The ids of the accounts that bind the mailbox and that the caller may use; the first is healthy if any is.

    `mailbox` is an address, or else the id of an account. An address costs one read of the index while the caller may
    use one account of it. The index may be ahead of that account, or behind it: whoever uses the account has to check
    that it `is_named` so. Raises NotFound, in the same words for a mailbox that is not bound and for that of others.
    """
    if "@" in mailbox:
        rows = await app.stores.mailboxes.accounts_of(mailbox)
        usable = [row.account for row in rows if caller.can_access(row.account)]
        if len(usable) > 1:
            usable = await _healthy_first(app, mailbox, usable)
        if usable:
            return usable
    found = await find_account(app, mailbox) if caller.can_access(mailbox) else None
    if found is None:
        raise NotFound(NO_SUCH_MAILBOX)
    return [found.account.value.id]


async def _healthy_first(app: App, mailbox: str, account_ids: Sequence[str]) -> list[str]:
    """Those that bind the mailbox. Reads no more of them once one is healthy: a mailbox may have hundreds."""
    accounts = list[Account]()
    for batch in batched(account_ids, ACCOUNTS_READ_AT_ONCE, strict=False):
        found = await asyncio.gather(*(find_account(app, account_id) for account_id in batch))
        read = [each.account.value for each in found if each is not None]
        accounts += [account for account in read if account.is_named(mailbox)]
        if any(account.is_healthy for account in accounts):
            break
    return [account.id for account in sorted(accounts, key=lambda account: not account.is_healthy)]
