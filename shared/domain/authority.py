"""Authority when it is used: what a caller who made something may still do with it."""

from collections.abc import Iterable

from shared.domain.caller import Binding, Caller, Scope

GONE = "Its caller was revoked, has expired or no longer exists. Delete the webhook, or subscribe as another caller"
NO_SCOPE = "Its caller lost the scope webhooks. Restore the scope, or delete the webhook"
NO_REACH = "Its caller may no longer access all of its accounts. Restore the access, or delete the webhook"


def may_register(requester: Caller | None, accounts: Iterable[str]) -> bool:
    """Whether the caller who asked for a link may still have all of these accounts bound."""
    return requester is not None and requester.may(Scope.REGISTER) and all(map(requester.may_reach, accounts))


def may_change_accounts(requester: Caller | None) -> bool:
    """Whether a link may give an account that exists another mailbox or person, as PUT and DELETE would need it."""
    return requester is not None and requester.may(Scope.ACCOUNTS_WRITE)


def may_hear_of(owner: Caller | None, account: str | None) -> bool:
    """Whether a webhook's owner may be told of an event; one without an account concerns every account."""
    if owner is None or not owner.may(Scope.WEBHOOKS):
        return False
    return owner.binding is None if account is None else owner.may_reach(account)


def why_withdrawn(owner: Caller | None, accounts: Binding | None) -> str | None:
    """Why a webhook of these accounts gets no events, or not all of them; None while it gets what it asked for."""
    if owner is None:
        return GONE
    if not owner.may(Scope.WEBHOOKS):
        return NO_SCOPE
    return None if owner.may_reach_all_of(accounts) else NO_REACH
