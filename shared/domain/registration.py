"""Pending registrations: open invitations to sign in."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.identity import normalize_id, same_id
from shared.domain.invited_mailbox import LINK_CANCELLED, BindRequest, InvitedMailbox, MailboxResult, MailboxState
from shared.domain.principal import ExpectedPerson
from shared.domain.secret import Secret

# How long a registration's outcome can still be asked for once its link is dead.
OUTCOME_RETENTION = timedelta(days=7)
# Whoever came back from Microsoft in the last moment of a link is still being bound.
EXPIRY_EVENT_DELAY = timedelta(minutes=1)
# No invocation lasts longer than host.json's functionTimeout, and clocks differ by less than the rest.
MAX_BINDING_TIME = timedelta(minutes=15)


class RegistrationStatus(StrEnum):
    """Where a registration stands, in the words of `GET /v1/authentication/form/{registration}`."""

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

    `id` is the SHA-256 of the link's ticket, so that the ticket is not stored. `expected_email` pins who may sign in,
    in `expected_tenant` where that is told, and so does `pinned_to`, a principal's id, whatever becomes of the
    accounts. `failure` is the code of the last sign-in that bound nothing; the link stays open until `expires` or until
    nothing is left to bind. `requested_by` is the caller's id, `requester` what people know it by. `app` is empty where
    the person may choose among several OAuth apps. `being_bound` is when a mailbox last began to be bound near the end.
    `allow_principal_change` and `change_mailbox` are what the form asked for; whether its caller may still have that is
    decided at the binding. `told` are the codes of sign-ins that bound nothing and that the caller was told of.
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
    completed: datetime | None = None
    being_bound: datetime | None = None
    told: tuple[str, ...] = ()

    @property
    def expected_person(self) -> ExpectedPerson:
        """Whom it is for."""
        return ExpectedPerson(self.expected_email, self.expected_tenant)

    @property
    def only_mailbox(self) -> InvitedMailbox | None:
        """The mailbox of an invitation to bind one."""
        return self.mailboxes[0] if len(self.mailboxes) == 1 else None

    @property
    def unsettled_mailboxes(self) -> tuple[InvitedMailbox, ...]:
        """What is still to be bound, whether or not it is waited for."""
        return tuple(mailbox for mailbox in self.mailboxes if not mailbox.is_settled)

    def bind_request(self, mailbox: InvitedMailbox) -> BindRequest:
        """To bind one of its mailboxes now."""
        return BindRequest(
            by=self.id,
            account=mailbox.account,
            email=mailbox.email,
            name=mailbox.name,
            delegated=self.delegated,
            allow_principal_change=self.allow_principal_change,
            change_mailbox=self.change_mailbox,
            pinned_to=self.pinned_to,
        )

    def mailbox_for(self, account: str) -> InvitedMailbox | None:
        """The mailbox that was asked for under this account id."""
        return next((mailbox for mailbox in self.mailboxes if same_id(mailbox.account, account)), None)

    def status_at(self, now: datetime) -> RegistrationStatus:
        """The stage, or `expired` when the time for it has run out before anything came of it."""
        over = self.stage in UNDECIDED_STATUSES and now >= self.expires and not self.has_binding_in_progress(now)
        return RegistrationStatus.EXPIRED if over else self.stage

    def is_usable(self, now: datetime) -> bool:
        """Whether the link may still start a sign-in."""
        return bool(self.unsettled_mailboxes) and now < self.expires

    def via_app(self, app: str) -> "PendingRegistration":
        """As it is for a sign-in that went through this OAuth app."""
        return replace(self, app=app or self.app)

    def replaced(self, accounts: Collection[str]) -> "PendingRegistration":
        """A newer registration for these accounts was started: for them this link is worth nothing any more."""
        newer = set(map(normalize_id, accounts))
        return self._with(one.replaced() if normalize_id(one.account) in newer else one for one in self.mailboxes)

    def cancelled(self, accounts: Collection[str], code: str = LINK_CANCELLED) -> "PendingRegistration":
        """The link was ended for these accounts, or they were removed. What was bound stays bound."""
        ended = set(map(normalize_id, accounts))
        return self._with(one.cancelled(code) if normalize_id(one.account) in ended else one for one in self.mailboxes)

    def opened(self) -> "PendingRegistration":
        """Somebody looked at the link's page. Waiting goes on meanwhile, and what was bound stays said."""
        if self.stage in {RegistrationStatus.PENDING, RegistrationStatus.FAILED}:
            return replace(self, stage=RegistrationStatus.OPENED)
        return self

    def with_refusal(self, code: str) -> "PendingRegistration":
        """A sign-in came to nothing. The link goes on working; whoever waits for access goes on waiting."""
        if not self.unsettled_mailboxes:
            return self
        if self.stage not in UNDECIDED_STATUSES:
            return replace(self, failure=code)
        told = self.told if code in self.told else (*self.told, code)
        return replace(self, stage=RegistrationStatus.FAILED, failure=code, told=told)

    def new_refusals_since(self, before: "PendingRegistration") -> Mapping[str, str]:
        """By account, why a sign-in did not bind it; those that were refused for the same reason before are not new.

        Whoever has the link can come back from Microsoft as often as they like, and say what they like.
        """
        if self.told != before.told:
            return {mailbox.account: self.told[-1] for mailbox in self.unsettled_mailboxes}
        known = {(mailbox.account, mailbox.failure) for mailbox in before.mailboxes if mailbox.is_refused}
        refused = [mailbox for mailbox in self.mailboxes if mailbox.is_refused]
        return {one.account: one.failure for one in refused if one.failure and (one.account, one.failure) not in known}

    def expires_during_binding(self, now: datetime) -> bool:
        """Whether its end may be told while a binding that begins now is still under way."""
        return self.stage in UNDECIDED_STATUSES and now + MAX_BINDING_TIME >= self.expires

    def has_binding_in_progress(self, now: datetime) -> bool:
        """Whether a binding may still be under way, so that its end is not to be told yet."""
        begun = self.being_bound if self.stage in UNDECIDED_STATUSES else None
        return begun is not None and now < begun + MAX_BINDING_TIME

    def expired(self) -> "PendingRegistration":
        """The time for it has run out, and the caller is told."""
        return replace(self, stage=RegistrationStatus.EXPIRED)

    def after_sign_in(
        self, principal_id: str, results: Mapping[str, MailboxResult], now: datetime, *, stop_waiting: bool = False
    ) -> "PendingRegistration":
        """What became of mailboxes when a principal had signed in; `gave_up` ends the waiting for that principal.

        Once the caller was told that the link has expired, nothing that came to nothing is news.
        """
        bound = any(result.state.is_bound for result in results.values())
        if self.stage is RegistrationStatus.EXPIRED and not bound:
            return self
        heard = self._with(
            mailbox.after_sign_in(principal_id, results[mailbox.account], stop_waiting=stop_waiting)
            if mailbox.account in results
            else mailbox
            for mailbox in self.mailboxes
        )
        unbound = next((mailbox.failure for mailbox in heard.unsettled_mailboxes if mailbox.failure), self.failure)
        return replace(
            heard,
            failure=None if any(mailbox.state.is_bound for mailbox in heard.mailboxes) else unbound,
            completed=now if bound else self.completed,
        )

    def _with(self, mailboxes: Iterable[InvitedMailbox]) -> "PendingRegistration":
        """Its stage follows from what became of the mailboxes, once anything has.

        What is refused after an end that was told is no news.
        """
        now = replace(self, mailboxes=tuple(mailboxes))
        states = {mailbox.state for mailbox in now.mailboxes}
        if MailboxState.WAITING_FOR_ACCESS in states:
            return replace(now, stage=RegistrationStatus.WAITING_FOR_ACCESS)
        if any(state.is_bound for state in states):
            return replace(now, stage=RegistrationStatus.COMPLETED)
        if states == {MailboxState.REPLACED}:
            return replace(now, stage=RegistrationStatus.REPLACED)
        if MailboxState.CANCELLED in states and not now.unsettled_mailboxes:
            return replace(now, stage=RegistrationStatus.CANCELLED)
        failed = MailboxState.REFUSED in states and self.stage is not RegistrationStatus.EXPIRED
        return replace(now, stage=RegistrationStatus.FAILED) if failed else now


@dataclass(frozen=True, slots=True)
class NewestLink:
    """Which registration of an account counts: the one that was started last, whoever asked for it.

    `removed` says that the account was removed after that, so that none counts until there is a newer one.
    """

    account: str
    registration: str
    removed: bool = False


@dataclass(frozen=True, slots=True)
class SignInAttempt:
    """One browser's way to Entra and back.

    `id` is the SHA-256 of the OAuth `state`, `browser` that of the browser's cookie: an attempt is finished by the
    browser that began it or not at all (RFC 9700 section 2.1). `flow` holds PKCE verifier and nonce until it is used.
    `app` is the OAuth app that it goes through; attempts from before there were several name none.
    """

    id: str
    registration: str
    browser: str
    created: datetime
    flow: Secret = field(default=Secret(""))
    used: bool = False
    app: str = ""
