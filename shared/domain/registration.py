"""Pending registrations: open invitations to sign in."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.secret import Secret

# How long a registration's outcome can still be asked for once its link is dead.
REMEMBERED = timedelta(days=7)


class RegistrationStatus(StrEnum):
    """Where a registration stands, in the words of `GET /v1/authentication/form/{registration}`."""

    PENDING = "pending"
    OPENED = "opened"
    WAITING_FOR_ACCESS = "waitingForAccess"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    REPLACED = "replaced"


SETTLED = frozenset({RegistrationStatus.COMPLETED, RegistrationStatus.REPLACED})


class BindOutcome(StrEnum):
    """Whether an account id was there before; the `state` that the caller's page is told."""

    NEW = "new"
    EXISTING = "existing"


@dataclass(frozen=True, slots=True)
class PendingRegistration:
    """An invitation to bind `account`.

    `id` is the SHA-256 of the link's ticket, so that the ticket is not stored. `email` is the mailbox, `expected_email`
    pins who may sign in, and so does `pinned_to`, a principal's id, whatever becomes of the account. `failure` is the
    code of the last sign-in that was refused; the link stays open until `expires`. `principal_id` points to the
    principal's partition once somebody's access is being waited for or proven. `requested_by` is the caller's id,
    `requester` what people know it by. `app` is empty where the person may choose among several OAuth apps.
    """

    id: str
    account: str
    redirect_url: str
    app: str
    requested_by: str
    created: datetime
    expires: datetime
    requester: str | None = None
    name: str | None = None
    email: str | None = None
    expected_email: str | None = None
    delegated: bool = False
    allow_principal_change: bool = False
    pinned_to: str | None = None
    stage: RegistrationStatus = RegistrationStatus.PENDING
    principal_id: str | None = None
    outcome: BindOutcome | None = None
    failure: str | None = None
    completed: datetime | None = None

    def status(self, now: datetime) -> RegistrationStatus:
        """The stage, or `expired` when the time for it has run out."""
        if self.stage not in {*SETTLED, RegistrationStatus.WAITING_FOR_ACCESS} and now >= self.expires:
            return RegistrationStatus.EXPIRED
        return self.stage

    def usable(self, now: datetime) -> bool:
        """Whether the link may still start a sign-in."""
        return self.stage not in SETTLED and now < self.expires

    def through(self, app: str) -> "PendingRegistration":
        """As it is for a sign-in that went through this OAuth app."""
        return replace(self, app=app or self.app)

    def replaced(self) -> "PendingRegistration":
        """A newer registration for the same account was started: this link is worth nothing any more."""
        return self if self.stage in SETTLED else replace(self, stage=RegistrationStatus.REPLACED)

    def waits_for(self, principal_id: str) -> bool:
        """Whether this link waits for that principal's mailbox to open."""
        return self.stage is RegistrationStatus.WAITING_FOR_ACCESS and self.principal_id == principal_id

    def opened(self) -> "PendingRegistration":
        """Somebody looked at the link's page. Waiting goes on meanwhile."""
        if self.stage in {RegistrationStatus.PENDING, RegistrationStatus.FAILED}:
            return replace(self, stage=RegistrationStatus.OPENED)
        return self

    def refused(self, code: str) -> "PendingRegistration":
        """A sign-in came to nothing. The link goes on working; whoever waits for access goes on waiting."""
        if self.stage in SETTLED:
            return self
        if self.stage is RegistrationStatus.WAITING_FOR_ACCESS:
            return replace(self, failure=code)
        return replace(self, stage=RegistrationStatus.FAILED, failure=code, principal_id=None)

    def given_up(self, code: str) -> "PendingRegistration":
        """Waiting for access has ended without it."""
        if self.stage in SETTLED:
            return self
        return replace(self, stage=RegistrationStatus.FAILED, failure=code, principal_id=None)

    def waiting(self, principal_id: str, code: str) -> "PendingRegistration":
        """The principal is known and signed in, the mailbox does not open yet."""
        return replace(self, stage=RegistrationStatus.WAITING_FOR_ACCESS, principal_id=principal_id, failure=code)

    def completed_by(self, principal_id: str, outcome: BindOutcome, now: datetime) -> "PendingRegistration":
        """Bound. The link is used up."""
        return replace(
            self,
            stage=RegistrationStatus.COMPLETED,
            principal_id=principal_id,
            outcome=outcome,
            failure=None,
            completed=now,
        )


@dataclass(frozen=True, slots=True)
class NewestLink:
    """Which registration of an account counts: the one that was started last, whoever asked for it."""

    account: str
    registration: str


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
