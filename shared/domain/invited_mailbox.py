"""The mailboxes of an invitation, and what became of each."""

from dataclasses import dataclass, replace
from enum import StrEnum

# Why the mailbox of a link that its caller ended is not bound.
LINK_CANCELLED = "link_cancelled"


class MailboxState(StrEnum):
    """What became of a mailbox; `new` and `existing` are what the caller's page is told of a bound account's id."""

    PENDING = "pending"
    WAITING_FOR_ACCESS = "waitingForAccess"
    NEW = "new"
    EXISTING = "existing"
    REFUSED = "refused"
    REPLACED = "replaced"
    CANCELLED = "cancelled"

    @property
    def bound(self) -> bool:
        """Whether the account is there; its id was `new`, or `existing` before."""
        return self in {MailboxState.NEW, MailboxState.EXISTING}


@dataclass(frozen=True, slots=True)
class MailboxResult:
    """What one sign-in, or one look later, did for a mailbox. `code` says why it is not bound."""

    state: MailboxState
    code: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class InvitedMailbox:
    """A mailbox that `account` is to be bound to; without an `email` the signer's own.

    `principal_id` is who bound it or is waited for, `failure` the code of why it is not bound. `named` says that the
    caller named the `email`; otherwise it was filled in from the account that exists.
    """

    account: str
    email: str | None = None
    name: str | None = None
    state: MailboxState = MailboxState.PENDING
    principal_id: str | None = None
    failure: str | None = None
    named: bool = True

    @property
    def settled(self) -> bool:
        """Whether its link has done for it what it can."""
        return self.state.bound or self.state in {MailboxState.REPLACED, MailboxState.CANCELLED}

    @property
    def refused(self) -> bool:
        """Whether the last sign-in came to nothing for it."""
        return self.state is MailboxState.REFUSED

    def waits_for(self, principal_id: str) -> bool:
        """Whether it is waited that it opens for that principal."""
        return self.state is MailboxState.WAITING_FOR_ACCESS and self.principal_id == principal_id

    def replaced(self) -> "InvitedMailbox":
        """A newer link is there for the account."""
        if self.settled:
            return self
        return replace(self, state=MailboxState.REPLACED, principal_id=None, failure="link_replaced")

    def cancelled(self, code: str) -> "InvitedMailbox":
        """The link was ended, or its account removed; `code` says which."""
        if self.settled:
            return self
        return replace(self, state=MailboxState.CANCELLED, principal_id=None, failure=code)

    def after(self, principal_id: str, result: MailboxResult, *, gave_up: bool) -> "InvitedMailbox":
        """What became of it for a principal. Somebody's refusal ends nobody else's waiting."""
        if result.state.bound and not self.state.bound:
            email = result.email or self.email
            return replace(self, state=result.state, principal_id=principal_id, email=email, failure=None)
        if self.settled or (gave_up and not self.waits_for(principal_id)):
            return self
        if result.state is MailboxState.WAITING_FOR_ACCESS:
            return replace(self, state=result.state, principal_id=principal_id, failure=result.code)
        if self.state is MailboxState.WAITING_FOR_ACCESS and not gave_up:
            return replace(self, failure=result.code)
        return replace(self, state=MailboxState.REFUSED, principal_id=None, failure=result.code)


@dataclass(frozen=True, slots=True)
class BindRequest:
    """A mailbox that is to be bound now, for a person who is signed in.

    `by` is the id of the registration that asks for it, or of a request that named `through`: the account whose grant
    is used. `allow_principal_change` and `change_mailbox` let an account that exists change its person and its mailbox.
    `may_change` says that the caller may write accounts: without that, name and OAuth app of one that exists stay too.
    """

    by: str
    account: str
    email: str | None
    name: str | None
    delegated: bool
    allow_principal_change: bool = False
    change_mailbox: bool = False
    may_change: bool = True
    pinned_to: str | None = None
    through: str | None = None

    def authorized(self, *, may_change: bool) -> "BindRequest":
        """What it may do by the authority that its caller has now."""
        if may_change:
            return self
        return replace(self, allow_principal_change=False, change_mailbox=False, may_change=False)
