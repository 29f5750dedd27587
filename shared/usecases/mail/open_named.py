"""Open the mailbox that a call names, through an account that the caller may use."""

from collections.abc import Sequence

from shared.domain.caller import Caller
from shared.domain.errors import NotAuthorized, NotFound
from shared.domain.formats import normalize_address
from shared.ports import App
from shared.usecases.mail.find_account import NO_SUCH_MAILBOX, find_accounts
from shared.usecases.mail.graph_mailbox import GraphMailbox, open_mailbox


async def open_named(app: App, caller: Caller, mailbox: str) -> GraphMailbox:
    """The mailbox with this address or account id. Its accounts are remembered for as long as grants are.

    Raises NotFound, in the same words for a mailbox that is not bound and for that of others, and what `open_mailbox`
    raises for the best account.
    """
    name, now = f"{caller.id}|{normalize_address(mailbox)}", app.clock()
    remembered = app.caches.mailboxes.get(name, now)
    if remembered is not None:
        try:
            return await _open_first(app, caller, mailbox, remembered)
        except (NotFound, NotAuthorized):
            app.caches.mailboxes.discard(name)  # something has changed, so another account may be the best by now
    found = tuple(await find_accounts(app, caller, mailbox))
    opened = await _open_first(app, caller, mailbox, found)
    app.caches.mailboxes.put(name, found, now, now + app.config.remember)
    return opened


async def reopen(app: App, caller: Caller, account_id: str, mailbox: str) -> GraphMailbox:
    """The mailbox of an account, if it is still this one and the caller may still use it. Raises as `open_named`."""
    if not caller.can_access(account_id):
        raise NotFound(NO_SUCH_MAILBOX)
    try:
        opened = await open_mailbox(app, account_id)
    except NotFound:
        raise NotFound(NO_SUCH_MAILBOX) from None
    except NotAuthorized as refusal:
        refusal.account = account_id
        raise
    if not opened.account.is_named(mailbox):
        raise NotFound(NO_SUCH_MAILBOX)
    return opened


async def _open_first(app: App, caller: Caller, mailbox: str, account_ids: Sequence[str]) -> GraphMailbox:
    """The first that opens; if none does, the reason of the first one."""
    reasons = list[NotAuthorized | NotFound]()
    for account_id in account_ids:
        try:
            return await reopen(app, caller, account_id, mailbox)
        except (NotAuthorized, NotFound) as reason:
            reasons.append(reason)
    raise reasons[0] if reasons else NotFound(NO_SUCH_MAILBOX)
