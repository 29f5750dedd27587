"""Open the mailbox that a call names, through an account that the caller may use."""

from shared.domain.caller import Caller
from shared.domain.errors import NotAuthorized, NotFound
from shared.ports import App
from shared.usecases.mail.find_account import NO_SUCH_MAILBOX, find_accounts
from shared.usecases.mail.graph_mailbox import GraphMailbox, open_mailbox


async def open_named(app: App, caller: Caller, mailbox: str) -> GraphMailbox:
    """The mailbox with this address or account id: through the first account that opens.

    Raises NotFound, in the same words for a mailbox that is not bound and for that of others. If none opens, raises
    what `open_mailbox` raises for the first.
    """
    reasons = list[NotAuthorized | NotFound]()
    for account_id in await find_accounts(app, caller, mailbox):
        try:
            return await reopen(app, caller, account_id, mailbox)
        except (NotAuthorized, NotFound) as reason:
            reasons.append(reason)
    raise reasons[0] if reasons else NotFound(NO_SUCH_MAILBOX)


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
