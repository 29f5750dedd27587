"""One message that is to be sent: what is known of it, and its legal moves.

A message is sent at most once because of the order of the moves. Only a draft whose row says `sending` is sent, one
worker writes that row (conditionally), and no move leads from `sending` back to a state that sends. Only a refusal of
the send makes it `failed`. Without an answer it becomes `sent` or `unknown`, by looking at the draft.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any

# Longer than all calls of a submission take together, so that a worker that lost its lease has no call in flight.
LEASE = timedelta(minutes=3)
# How long a submission and its idempotency key are kept after the end.
RETENTION = timedelta(days=1)
# How long a message that is due is tried again while Graph does not answer.
MAX_RETRY_PERIOD = timedelta(hours=1)
MAX_AHEAD = timedelta(days=30)


class SubmissionState(StrEnum):
    """Composing → queued (until its time) → sending → sent, failed or unknown."""

    COMPOSING = "composing"
    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"


STATES = SubmissionState
MOVES = {
    STATES.COMPOSING: {STATES.COMPOSING, STATES.QUEUED, STATES.SENDING, STATES.FAILED},
    STATES.QUEUED: {STATES.QUEUED, STATES.SENDING, STATES.FAILED},
    STATES.SENDING: {STATES.SENDING, STATES.SENT, STATES.FAILED, STATES.UNKNOWN},
    STATES.UNKNOWN: {STATES.SENT},
    STATES.FAILED: {STATES.COMPOSING},
    STATES.SENT: set[SubmissionState](),
}


class IllegalMove(ValueError):
    """A move that the states do not have: a fault of this program."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One row. `id` is the queue id; with an idempotency key it follows from the caller, the account and the key.

    `mailbox` is the address that the account had. `fingerprint` is that of the request. Until `leased` one worker has
    it. `draft` is the immutable id of the draft, which `is_given` if the caller named it. `message_id` is the
    Internet-Message-ID that the sent message has, once it is known; `given_message_id` is the one that was asked for.
    """

    id: str
    account: str
    mailbox: str
    caller: str
    fingerprint: str
    state: SubmissionState
    leased: datetime
    send_at: datetime
    is_given: bool = False
    draft: str | None = None
    message_id: str | None = None
    given_message_id: str | None = None
    code: str | None = None
    ended: datetime | None = None

    @property
    def internet_message_id(self) -> str:
        """The Internet-Message-ID of the draft: by it drafts are found whose creation got no answer."""
        return self.given_message_id or f"<{self.id}@{self.mailbox.rpartition('@')[2]}>"

    @property
    def holds_key(self) -> bool:
        """Whether the message may have been sent, or may still be. After a failure nothing was sent."""
        return self.state is not STATES.FAILED

    @property
    def due(self) -> datetime:
        """When the timer has to look at it."""
        if self.ended is not None:
            return self.ended + RETENTION
        return max(self.leased, self.send_at) if self.state is STATES.QUEUED else self.leased

    def is_worked(self, now: datetime) -> bool:
        """Whether another worker has it. A later lease than any was written by a clock that was ahead."""
        active = self.state in {STATES.COMPOSING, STATES.SENDING, STATES.QUEUED}
        return active and now < self.leased <= now + LEASE

    def taken(self, now: datetime) -> "Submission":
        """The same state under a new lease."""
        return self._moved(self.state, leased=now + LEASE)

    def composing_again(
        self, fingerprint: str, send_at: datetime, now: datetime, mailbox: str, given_message_id: str | None = None
    ) -> "Submission":
        """A new attempt, after one that failed or that a crash interrupted."""
        return self._moved(
            STATES.COMPOSING,
            mailbox=mailbox,
            fingerprint=fingerprint,
            send_at=send_at,
            leased=now + LEASE,
            draft=None,
            message_id=None,
            given_message_id=given_message_id,
            code=None,
            ended=None,
        )

    def queued(self, draft: str, now: datetime) -> "Submission":
        """The draft waits for its time, and no worker has it."""
        return self._moved(STATES.QUEUED, draft=draft, leased=now)

    def sending(self, draft: str, message_id: str | None, now: datetime) -> "Submission":
        """From here on the message may have been sent."""
        return self._moved(STATES.SENDING, draft=draft, message_id=message_id, leased=now + LEASE)

    def sent(self, message_id: str | None, now: datetime) -> "Submission":
        """Graph took it, or it is no draft any more."""
        return self._moved(STATES.SENT, message_id=message_id or self.message_id, code=None, ended=now)

    def failed(self, code: str, now: datetime) -> "Submission":
        """Nothing was sent."""
        return self._moved(STATES.FAILED, code=code, ended=now)

    def unknown(self, now: datetime) -> "Submission":
        """No answer came, and the message does not look sent."""
        return self._moved(STATES.UNKNOWN, code="outcome_unknown", ended=now)

    def _moved(self, state: SubmissionState, **changes: Any) -> "Submission":  # noqa: ANN401 - fields of it
        if state not in MOVES[self.state]:
            raise IllegalMove(f"{self.state} to {state}")
        return replace(self, state=state, **changes)


def submission_id(caller: str, account: str, key: str) -> str:
    """The id for an idempotency key, which is the caller's own for each account. The key cannot be read from it."""
    return digest((caller, account, key))[:40]


def digest(parts: Iterable[str]) -> str:
    """A SHA-256 of several texts, which no other texts have: each is preceded by its length."""
    return sha256("".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "surrogatepass")).hexdigest()
