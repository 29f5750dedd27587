"""A mailbox that a registration invites, and the pending account that waits until the mailbox opens."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from shared.domain.account import Principal
from shared.domain.clouds import Resource
from shared.domain.failure import NO_ACCESS
from shared.domain.formats import same_id
from shared.domain.renewal import confirmation_delay
from shared.domain.secret import Secret
from shared.domain.tokens import TokenSet

# Why a mailbox is not bound: the caller cancelled its link.
LINK_CANCELLED = "link_cancelled"


class MailboxState(StrEnum):
    """The state of an invited mailbox. Of a bound one it says whether its account id is new or existed before."""

    PENDING = "pending"
    WAITING_FOR_ACCESS = "waitingForAccess"
    NEW = "new"
    EXISTING = "existing"
    REFUSED = "refused"
    REPLACED = "replaced"
    CANCELLED = "cancelled"

    @property
    def is_bound(self) -> bool:
        """Whether the mailbox is bound."""
        return self in {MailboxState.NEW, MailboxState.EXISTING}


class ComparedAddresses(NamedTuple):
    """The address that a link names, and that of the person who signed in; only that person may read both."""

    expected: str
    signed_in: str


class MailboxResult(NamedTuple):
    """What a sign-in, or a later probe, did for a mailbox. `code` says why it is not bound."""

    state: MailboxState
    code: str | None = None
    email: str | None = None
    compared: ComparedAddresses | None = None


@dataclass(frozen=True, slots=True)
class InvitedMailbox:
    """A mailbox to bind to the account id `account`; without an `email` it is the mailbox of the person who signs in.

    `principal_id` is who bound it, or who it is waiting for. `failure` is the code of why it is not bound. `named` says
    that the caller named the `email`; otherwise it was copied from the existing account.
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
        """Whether the link can do nothing more for it."""
        return self.state.is_bound or self.state in {MailboxState.REPLACED, MailboxState.CANCELLED}

    @property
    def is_refused(self) -> bool:
        """Whether the last sign-in did not bind it."""
        return self.state is MailboxState.REFUSED

    def is_waiting_for(self, principal_id: str) -> bool:
        """Whether it is waiting until it opens for that principal."""
        return self.state is MailboxState.WAITING_FOR_ACCESS and self.principal_id == principal_id

    def replaced(self) -> "InvitedMailbox":
        """There is a newer link for the account."""
        if self.is_settled:
            return self
        return replace(self, state=MailboxState.REPLACED, principal_id=None, failure="link_replaced")

    def cancelled(self, code: str) -> "InvitedMailbox":
        """The link was cancelled or the account removed; `code` says which."""
        if self.is_settled:
            return self
        return replace(self, state=MailboxState.CANCELLED, principal_id=None, failure=code)

    def after_sign_in(self, principal_id: str, result: MailboxResult, *, stop_waiting: bool) -> "InvitedMailbox":
        """The result of a principal's sign-in. A refusal of one person does not end the waiting for another."""
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
    """A request to bind a mailbox now, for a person who has signed in.

    `by` is the id of the registration behind it, or of an API request that named `through`, the account whose grant is
    used. `allow_principal_change` and `change_mailbox` let an existing account get another person or another mailbox.
    `may_change` says that the caller may write accounts; otherwise the name and the OAuth app of an existing account
    stay as they are. `hand_out` is what the caller asked for; see `switch_when_bound`.
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
    hand_out: bool | None = None

    def with_permissions(self, *, may_change: bool) -> "BindRequest":
        """The request, limited to what its caller is allowed to do now."""
        if may_change:
            return self
        return replace(self, allow_principal_change=False, change_mailbox=False, may_change=False)


# Exchange needs up to an hour, sometimes a day, until a new permission takes effect (graph-docs issues 2361 and 4978).
ACCESS_WAIT_LIMIT = timedelta(hours=24)
OUTAGE_WAIT_LIMIT = timedelta(hours=1)
ACCESS_PROBE_INTERVAL = timedelta(minutes=5)
OUTAGE_PROBE_INTERVAL = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class PendingAccount:
    """A grant that waits until mailboxes open, stored in the principal's partition.

    `kept` says that the person asked Mailbind to keep checking; otherwise it waits for an outage at Microsoft to end.
    `accounts` are the accounts of the registration that wait; empty in rows from before there could be several.
    `doubts` counts refusals of the refresh token without a known reason, which are not believed yet.
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
    doubts: int = 0

    @property
    def tokens(self) -> TokenSet:
        """The tokens of the sign-in."""
        return TokenSet(self.refresh_token, self.access_token, self.access_expires, self.scopes, self.resource)

    def merged_with(self, before: "PendingAccount") -> "PendingAccount":
        """Replace an earlier wait and keep its accounts. An outage does not shorten what the person asked for."""
        merged = replace(self, accounts=tuple(dict.fromkeys((*before.accounts, *self.accounts))))
        return replace(merged, kept=True, until=max(self.until, before.until)) if before.kept else merged

    def includes(self, account: str) -> bool:
        """Whether this account is one of those that wait."""
        return not self.accounts or any(same_id(account, waiting) for waiting in self.accounts)

    def without(self, account: str) -> "PendingAccount | None":
        """The wait for the other accounts; None when there are no others."""
        others = tuple(other for other in self.accounts if not same_id(other, account))
        return replace(self, accounts=others) if others else None

    def after_failed_probe(self, reason: str, now: datetime) -> "PendingAccount":
        """The mailbox did not open; `reason` says why."""
        interval = ACCESS_PROBE_INTERVAL if reason == NO_ACCESS else OUTAGE_PROBE_INTERVAL
        if self.doubts:
            interval = confirmation_delay(self.doubts - 1, jitter=0)
        return replace(self, reason=reason, due=now + interval)

    def doubted(self) -> "PendingAccount":
        """Entra refused the refresh token without a known reason. It is asked again before that is believed."""
        return replace(self, doubts=self.doubts + 1)

    def without_access_token(self, now: datetime) -> "PendingAccount":
        """Microsoft 365 refuses the access token, so the next probe gets a new one."""
        return replace(self, access_expires=now)

    def with_tokens(self, tokens: TokenSet) -> "PendingAccount":
        """With newer tokens."""
        return replace(
            self,
            principal=self.principal.renamed(tokens.principal),
            refresh_token=tokens.refresh_token,
            access_token=tokens.access_token,
            access_expires=tokens.expires,
            scopes=tokens.scopes,
            resource=tokens.resource,
            doubts=0,
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
    """Start to wait: a day if the person asked for it, an hour if Microsoft did not answer."""
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
