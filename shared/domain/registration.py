"""Pending registrations: open invitations to sign in."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.account import ExpectedPerson
from shared.domain.formats import normalize_id, same_id
from shared.domain.invited_mailbox import LINK_CANCELLED, BindRequest, InvitedMailbox, MailboxResult, MailboxState
from shared.domain.secret import Secret
from shared.domain.work import Work, WorkKind

# How long the outcome of a registration can be read after its link has expired.
OUTCOME_RETENTION = timedelta(days=7)
# A person who came back from Microsoft just before the link expired may still be in the middle of binding.
EXPIRY_EVENT_DELAY = timedelta(minutes=1)
# Longer than any invocation (host.json: functionTimeout), plus the skew between instances' clocks.
MAX_BINDING_TIME = timedelta(minutes=15)
# After this time a sign-in without an end counts as interrupted; every call of one has a shorter timeout.
MAX_SIGN_IN_TIME = timedelta(minutes=2)
SIGN_IN_COMPLETED = "completed"


def expiry_work(registration: str, expires: datetime) -> Work:
    """The work at the end of a link. It is in the agenda before the registration is stored."""
    return Work(WorkKind.EXPIRE, expires + EXPIRY_EVENT_DELAY, registration)


def reaping_work(expiry: Work) -> Work:
    """The work that follows `expiry_work`: to delete the registration."""
    return Work(WorkKind.REAP, expiry.due - EXPIRY_EVENT_DELAY + OUTCOME_RETENTION, expiry.owner)


class RegistrationStatus(StrEnum):
    """The status that `GET /v1/authentication/form/{registration}` answers."""

    PENDING = "pending"
    OPENED = "opened"
    WAITING_FOR_ACCESS = "waitingForAccess"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    REPLACED = "replaced"
    CANCELLED = "cancelled"


UNDECIDED_STATUSES = frozenset({RegistrationStatus.PENDING, RegistrationStatus.OPENED, RegistrationStatus.FAILED})


@dataclass(frozen=True, slots=True)
class PendingRegistration:
    """An invitation to bind `mailboxes`, one or several, through one sign-in.

    `id` is the SHA-256 of the link's ticket; the ticket itself is not stored. `expected_email`, within
    `expected_tenant` if that is given, says who must sign in; so does `pinned_to`, a principal's id, which holds
    whatever happens to the accounts. `requested_by` is the caller's id and `requester` the caller's name for people.
    `app` is empty when the person may choose among several OAuth apps. `allow_principal_change` and `change_mailbox`
    are what the form asked for; whether its caller may still do that is checked when a mailbox is bound. Without
    `hand_out` its accounts hand out no tokens.

    The link stays open until `expires`, or until no mailbox is left to bind. `failure` is the code of the last sign-in
    that bound nothing, and `claims` are what Microsoft 365 demanded of the next one. `told` are the codes of failed
    sign-ins for which the caller got an event. `being_bound` is when the last binding close to the expiry began.
    """

    id: str
    mailboxes: tuple[InvitedMailbox, ...]
    redirect_url: str
    app: str
    requested_by: str
    created: datetime
    expires: datetime
    requester: str | None = None
    expected_email: str | None = None
    expected_tenant: str | None = None
    delegated: bool = False
    allow_principal_change: bool = False
    change_mailbox: bool = False
    pinned_to: str | None = None
    correlation: str | None = None
    stage: RegistrationStatus = RegistrationStatus.PENDING
    failure: str | None = None
    claims: str | None = None
    completed: datetime | None = None
    being_bound: datetime | None = None
    told: tuple[str, ...] = ()
    hand_out: bool = True

    @property
    def expected_person(self) -> ExpectedPerson:
        """Who must sign in."""
        return ExpectedPerson(self.expected_email, self.expected_tenant)

    @property
    def only_mailbox(self) -> InvitedMailbox | None:
        """The mailbox, if the invitation is for exactly one."""
        return self.mailboxes[0] if len(self.mailboxes) == 1 else None

    @property
    def unsettled_mailboxes(self) -> tuple[InvitedMailbox, ...]:
        """Mailboxes that are not bound, replaced or cancelled yet; some may be waiting for access."""
        return tuple(mailbox for mailbox in self.mailboxes if not mailbox.is_settled)

    def bind_request(self, mailbox: InvitedMailbox) -> BindRequest:
        """The request to bind one of its mailboxes now."""
        return BindRequest(
            by=self.id,
            account=mailbox.account,
            email=mailbox.email,
            name=mailbox.name,
            delegated=self.delegated,
            allow_principal_change=self.allow_principal_change,
            change_mailbox=self.change_mailbox,
            pinned_to=self.pinned_to,
            hand_out=None if self.hand_out else False,
        )

    def mailbox_for(self, account: str) -> InvitedMailbox | None:
        """The invited mailbox for this account id, or None."""
        return next((mailbox for mailbox in self.mailboxes if same_id(mailbox.account, account)), None)

    def status_at(self, now: datetime) -> RegistrationStatus:
        """The stage, or `expired` when the link expired before anything was bound."""
        expired = self.stage in UNDECIDED_STATUSES and now >= self.expires and not self.has_binding_in_progress(now)
        return RegistrationStatus.EXPIRED if expired else self.stage

    def is_usable(self, now: datetime) -> bool:
        """Whether the link may still start a sign-in."""
        return bool(self.unsettled_mailboxes) and now < self.expires

    def via_app(self, app: str) -> "PendingRegistration":
        """The registration for a sign-in through this OAuth app."""
        return replace(self, app=app or self.app)

    def expires_during_binding(self, now: datetime) -> bool:
        """Whether the link may expire, and its expiry be reported, while a binding that begins now is running."""
        return self.stage in UNDECIDED_STATUSES and now + MAX_BINDING_TIME >= self.expires

    def has_binding_in_progress(self, now: datetime) -> bool:
        """Whether a binding may still be running, so that the expiry must not be reported yet."""
        begun = self.being_bound if self.stage in UNDECIDED_STATUSES else None
        return begun is not None and now < begun + MAX_BINDING_TIME

    def opened(self) -> "PendingRegistration":
        """The link's page was opened. That changes neither waiting for access nor finished bindings."""
        if self.stage in {RegistrationStatus.PENDING, RegistrationStatus.FAILED}:
            return replace(self, stage=RegistrationStatus.OPENED)
        return self

    def expired(self) -> "PendingRegistration":
        """The link expired before anything was bound, and the caller is told so."""
        return replace(self, stage=RegistrationStatus.EXPIRED)

    def replaced(self, accounts: Collection[str]) -> "PendingRegistration":
        """There is a newer registration for these accounts; this link no longer works for them."""
        ids = set(map(normalize_id, accounts))
        return self._with(
            mailbox.replaced() if normalize_id(mailbox.account) in ids else mailbox for mailbox in self.mailboxes
        )

    def cancelled(self, accounts: Collection[str], code: str = LINK_CANCELLED) -> "PendingRegistration":
        """The link was cancelled for these accounts, or they were removed. Bound mailboxes stay bound."""
        ids = set(map(normalize_id, accounts))
        return self._with(
            mailbox.cancelled(code) if normalize_id(mailbox.account) in ids else mailbox for mailbox in self.mailboxes
        )

    def with_refusal(self, code: str, claims: str | None = None) -> "PendingRegistration":
        """A sign-in failed as a whole. The link still works, and mailboxes that wait for access keep waiting."""
        if not self.unsettled_mailboxes:
            return self
        refused = replace(self, failure=code, claims=claims)
        if self.stage not in UNDECIDED_STATUSES:
            return refused
        told = self.told if code in self.told else (*self.told, code)
        return replace(refused, stage=RegistrationStatus.FAILED, told=told)

    def after_sign_in(
        self, principal_id: str, results: Mapping[str, MailboxResult], now: datetime, *, stop_waiting: bool = False
    ) -> "PendingRegistration":
        """The results of a principal's sign-in, by account; `stop_waiting` ends the waiting for that principal.

        Once the expiry was reported, only a bound mailbox changes anything.
        """
        any_bound = any(result.state.is_bound for result in results.values())
        if self.stage is RegistrationStatus.EXPIRED and not any_bound:
            return self
        updated = self._with(
            mailbox.after_sign_in(principal_id, results[mailbox.account], stop_waiting=stop_waiting)
            if mailbox.account in results
            else mailbox
            for mailbox in self.mailboxes
        )
        failure = next((mailbox.failure for mailbox in updated.unsettled_mailboxes if mailbox.failure), self.failure)
        return replace(
            updated,
            failure=None if any(mailbox.state.is_bound for mailbox in updated.mailboxes) else failure,
            completed=now if any_bound else self.completed,
        )

    def new_refusals_since(self, before: "PendingRegistration") -> Mapping[str, str]:
        """The accounts that a sign-in did not bind, each with the reason, unless the reason is the same as before.

        Without that exception anybody with the link could cause any number of events: how a sign-in ends is what their
        browser says.
        """
        if self.told != before.told:
            return {mailbox.account: self.told[-1] for mailbox in self.unsettled_mailboxes}
        refusals = {mailbox.account: mailbox.failure for mailbox in self.mailboxes if mailbox.is_refused}
        known = {mailbox.account: mailbox.failure for mailbox in before.mailboxes if mailbox.is_refused}
        return {account: code for account, code in refusals.items() if code and code != known.get(account)}

    def _with(self, mailboxes: Iterable[InvitedMailbox]) -> "PendingRegistration":
        """With changed mailboxes, whose states decide the stage. A refusal after a reported expiry is not reported."""
        updated = replace(self, mailboxes=tuple(mailboxes))
        states = {mailbox.state for mailbox in updated.mailboxes}
        if MailboxState.WAITING_FOR_ACCESS in states:
            return replace(updated, stage=RegistrationStatus.WAITING_FOR_ACCESS)
        if any(state.is_bound for state in states):
            return replace(updated, stage=RegistrationStatus.COMPLETED)
        if states == {MailboxState.REPLACED}:
            return replace(updated, stage=RegistrationStatus.REPLACED)
        if MailboxState.CANCELLED in states and not updated.unsettled_mailboxes:
            return replace(updated, stage=RegistrationStatus.CANCELLED)
        if MailboxState.REFUSED in states and self.stage is not RegistrationStatus.EXPIRED:
            return replace(updated, stage=RegistrationStatus.FAILED)
        return updated


@dataclass(frozen=True, slots=True)
class NewestLink:
    """The only registration of an account that counts: the one that was started last, by any caller.

    `removed` says that the account was removed after that, so that none counts until a newer one is started.
    """

    account: str
    registration: str
    removed: bool = False


@dataclass(frozen=True, slots=True)
class SignInAttempt:
    """One browser's round trip to Entra.

    `id` is the SHA-256 of the OAuth `state`, `browser` that of the browser's cookie: only the browser that began an
    attempt can finish it (RFC 9700 section 2.1). `flow` holds the PKCE verifier and the nonce until it is used. `app`
    is the OAuth app; it is empty in attempts from before there could be several. `ended` is SIGN_IN_COMPLETED or the
    code of the refusal, and `principal` who signed in: what the browser is shown when it comes back again.
    """

    id: str
    registration: str
    browser: str
    created: datetime
    flow: Secret = field(default=Secret(""))
    used: bool = False
    app: str = ""
    used_at: datetime | None = None
    ended: str | None = None
    principal: str | None = None

    def is_in_progress(self, now: datetime) -> bool:
        """Whether the sign-in may still end."""
        return self.ended is None and self.used_at is not None and now < self.used_at + MAX_SIGN_IN_TIME
