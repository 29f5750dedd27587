"""Keep the index of mailboxes: which accounts bind an address.

A row is written before its account and removed after it, because a transaction covers one partition only. What a crash
leaves in between is an extra row, which the sweep removes.
"""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from shared.domain.account import Account
from shared.domain.errors import RowUnreadable, StaleWrite, Unavailable
from shared.domain.formats import same_address
from shared.domain.mailbox import BoundMailbox
from shared.ports import App, Stored
from shared.usecases.accounts.read import account_behind, find_account

log = logging.getLogger(__name__)

# In one sweep. Extra rows are harmless, so not all rows need a check every day.
MAX_ROWS_CHECKED = 5_000
ROWS_CHECKED_AT_ONCE = 64


class CheckedRows(NamedTuple):
    """How many rows were removed, and the cursor that continues; None at the end."""

    removed: int
    cursor: str | None


async def forget_mailbox(app: App, account: Account) -> None:
    """Remove the row of an account that was removed, or that has another address now.

    An outage of storage is no error: the change was made, and the sweep removes the row.
    """
    with suppress(Unavailable):
        stored = await app.stores.mailboxes.get(account.email, account.id)
        if stored is not None:
            await _remove_unbound(app, stored)


async def remove_unbound_rows(app: App, after: str | None, until: datetime) -> CheckedRows:
    """Check MAX_ROWS_CHECKED rows after a cursor, or fewer until that time. Raises InvalidInput for another cursor."""
    page, checked, removed = list[Stored[BoundMailbox]](), 0, 0
    async for cursor, stored in app.stores.mailboxes.everything(after):
        page.append(stored)
        if len(page) == ROWS_CHECKED_AT_ONCE:
            removed, checked, page = removed + await _remove_unbound_of(app, page), checked + len(page), []
            if checked >= MAX_ROWS_CHECKED or app.clock() >= until:
                return CheckedRows(removed, cursor)
    return CheckedRows(removed + await _remove_unbound_of(app, page), None)


async def _remove_unbound_of(app: App, page: Iterable[Stored[BoundMailbox]]) -> int:
    return sum(await asyncio.gather(*(_remove_unbound(app, stored) for stored in page)))


async def _remove_unbound(app: App, stored: Stored[BoundMailbox]) -> bool:
    """Remove a row if its account does not bind the address. Returns whether it was removed.

    A binding claims the account id before it writes the row. So the row stays while a claim is valid, or if it was
    written again since it was read.
    """
    row = stored.value
    with suppress(RowUnreadable, StaleWrite):
        entry = await app.stores.directory.get(row.account)
        claim = entry.value.claim if entry else None
        if claim is not None and app.clock() < claim.until:
            return False
        found = await account_behind(app, entry) if entry else None
        if found is None or not same_address(found.account.value.email, row.address):
            await app.stores.mailboxes.remove(stored)
            log.info("mailbox removed from index", extra={"account": row.account})
            return True
    return False


async def mend_mailbox(app: App, account: Account) -> bool:
    """Write the account's row if it is missing or differs. Returns whether it was written."""
    if await _is_indexed(app, account):
        return False
    # The account may have been read long ago.
    found = await find_account(app, account.id)
    if found is None or await _is_indexed(app, found.account.value):
        return False
    await app.stores.mailboxes.put(BoundMailbox.of(found.account.value))
    log.warning("mailbox was not in index", extra={"account": account.id})
    return True


async def _is_indexed(app: App, account: Account) -> bool:
    stored = await app.stores.mailboxes.get(account.email, account.id)
    return stored is not None and stored.value == BoundMailbox.of(account)
