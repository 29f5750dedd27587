"""A mailbox that a registration invites, and the pending account while its access is not proven."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.clouds import Resource
from shared.domain.identity import same_id
from shared.domain.principal import Principal, TokenSet
from shared.domain.secret import Secret

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
    def is_bound(self) -> bool:
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
    def is_settled(self) -> bool:
        """Whether its link has done for it what it can."""
        return self.state.is_bound or self.state in {MailboxState.REPLACED, MailboxState.CANCELLED}

    @property
    def is_refused(self) -> bool:
        """Whether the last sign-in came to nothing for it."""
        return self.state is MailboxState.REFUSED

    def is_waiting_for(self, principal_id: str) -> bool:
        """Whether it is waited that it opens for that principal."""
        return self.state is MailboxState.WAITING_FOR_ACCESS and self.principal_id == principal_id

    def replaced(self) -> "InvitedMailbox":
        """A newer link is there for the account."""
        if self.is_settled:
            return self
        return replace(self, state=MailboxState.REPLACED, principal_id=None, failure="link_replaced")

    def cancelled(self, code: str) -> "InvitedMailbox":
        """The link was ended, or its account removed; `code` says which."""
        if self.is_settled:
            return self
        return replace(self, state=MailboxState.CANCELLED, principal_id=None, failure=code)

    def after_sign_in(self, principal_id: str, result: MailboxResult, *, stop_waiting: bool) -> "InvitedMailbox":
        """What became of it for a principal. Somebody's refusal ends nobody else's waiting."""
        if result.state.is_bound and not self.state.is_bound:
            email = result.email or self.email
            return replace(self, state=result.state, principal_id=principal_id, email=email, failure=None)
        if self.is_settled or (stop_waiting and not self.is_waiting_for(principal_id)):
            return self
        if result.state is MailboxState.WAITING_FOR_ACCESS:
            return replace(self, state=result.state, principal_id=principal_id, failure=result.code)
        if self.state is MailboxState.WAITING_FOR_ACCESS and not stop_waiting:
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

    def with_permissions(self, *, may_change: bool) -> "BindRequest":
        """What it may do by the authority that its caller has now."""
        if may_change:
            return self
        return replace(self, allow_principal_change=False, change_mailbox=False, may_change=False)


# Exchange takes up to an hour, sometimes a day, to notice new permissions (graph-docs issues 2361 and 4978).
ACCESS_WAIT_LIMIT = timedelta(hours=24)
OUTAGE_WAIT_LIMIT = timedelta(hours=1)
ACCESS_PROBE_INTERVAL = timedelta(minutes=5)
OUTAGE_PROBE_INTERVAL = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class PendingAccount:
    """A grant that waits for mailboxes to open, kept in the principal's partition.

    `kept` says that the person asked to keep checking; otherwise only an outage at Microsoft is waited for. `accounts`
    are those of the registration that are waited for; none in rows of before there could be several.
    """

    registration: str
    principal: Principal
    app: str
    refresh_token: Secret
    access_token: Secret
    access_expires: datetime
    scopes: tuple[str, ...]
    kept: bool
    reason: str
    since: datetime
    until: datetime
    due: datetime
    resource: Resource = Resource.GRAPH
    accounts: tuple[str, ...] = ()

    @property
    def tokens(self) -> TokenSet:
        """The grant that waits."""
        return TokenSet(self.refresh_token, self.access_token, self.access_expires, self.scopes, self.resource)

    def merged_with(self, before: "PendingAccount") -> "PendingAccount":
        """In place of earlier waiting: an outage does not cut short what the person asked for."""
        both = replace(self, accounts=tuple(dict.fromkeys((*before.accounts, *self.accounts))))
        return replace(both, kept=True, until=max(self.until, before.until)) if before.kept else both

    def includes(self, account: str) -> bool:
        """Whether this account's mailbox is waited for."""
        return not self.accounts or any(same_id(account, waiting) for waiting in self.accounts)

    def without(self, account: str) -> "PendingAccount | None":
        """Waiting for the others only, or for none any more."""
        left = tuple(other for other in self.accounts if not same_id(other, account))
        return replace(self, accounts=left) if left else None

    def after_failed_probe(self, reason: str, now: datetime) -> "PendingAccount":
        """Probed again, without success; `reason` says why."""
        pause = ACCESS_PROBE_INTERVAL if reason == "no_mailbox_access" else OUTAGE_PROBE_INTERVAL
        return replace(self, reason=reason, due=now + pause)

    def with_tokens(self, tokens: TokenSet) -> "PendingAccount":
        """With newer tokens."""
        return replace(
            self,
            refresh_token=tokens.refresh_token,
            access_token=tokens.access_token,
            access_expires=tokens.expires,
            scopes=tokens.scopes,
            resource=tokens.resource,
        )


def new_pending_account(
    *,
    registration: str,
    accounts: tuple[str, ...],
    principal: Principal,
    app: str,
    tokens: TokenSet,
    kept: bool,
    reason: str,
    now: datetime,
) -> PendingAccount:
    """Begin to wait: a day when the person asked for it, an hour when Microsoft did not answer."""
    return PendingAccount(
        registration=registration,
        principal=principal,
        app=app,
        refresh_token=tokens.refresh_token,
        access_token=tokens.access_token,
        access_expires=tokens.expires,
        scopes=tokens.scopes,
        kept=kept,
        reason=reason,
        since=now,
        until=now + (ACCESS_WAIT_LIMIT if kept else OUTAGE_WAIT_LIMIT),
        due=now + (ACCESS_PROBE_INTERVAL if kept else OUTAGE_PROBE_INTERVAL),
        resource=tokens.resource,
        accounts=accounts,
    )
