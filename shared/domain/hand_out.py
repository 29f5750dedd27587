"""Whether callers get an account's access tokens, or only use its mailbox through Mailbind.

There is a setting for all accounts, and each account has a switch. Only an administrator turns a switch on, because a
token opens everything that the person can open.
"""

from collections.abc import Sequence

from shared.domain.account import Account
from shared.domain.registration import PendingRegistration

HAND_OUT_DISABLED = "hand_out_disabled"


def hands_out(account: Account, *, setting: bool) -> bool:
    """Whether callers get tokens of this account. `setting` is the one for all accounts."""
    return setting and account.hands_out


def link_hands_out(registration: PendingRegistration, existing: Sequence[Account], *, setting: bool) -> bool:
    """Whether any account that the link may still bind will hand out tokens; `existing` are those that exist."""
    if not setting or not registration.hand_out:
        return False
    return len(existing) < len(registration.unsettled_mailboxes) or any(account.hands_out for account in existing)


def switch_when_bound(
    before: Account | None, source: Account | None, *, requested: bool | None, is_further: bool, setting: bool
) -> bool:
    """The switch of an account that is bound now: what `link_hands_out` told its person, or off.

    `before` is the same account as it was bound earlier: a binding never turns its switch on. A further account uses
    the grant of its `source` (None if that was removed meanwhile). It hands out tokens only if the source does, or if
    an administrator `requested` it; otherwise callers would get the source's tokens through it.
    """
    if not setting or requested is False or (before is not None and not before.hands_out):
        return False
    return not is_further or requested is True or (source is not None and source.hands_out)
