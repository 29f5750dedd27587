"""A submission: whatever happens in whichever order, its message is sent once."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.domain.mail.submission import (
    LEASE,
    MOVES,
    RETENTION,
    IllegalMove,
    Submission,
    SubmissionState,
    submission_id,
)

START = datetime(2026, 11, 30, tzinfo=UTC)


def new(now: datetime = START, send_at: datetime = START) -> Submission:
    state = SubmissionState.COMPOSING
    return Submission("id", "account", "support@contoso.example", "caller", "one", state, now + LEASE, send_at)


class Workers(RuleBasedStateMachine):
    """Workers that take a row over, call Graph, and die at any point. Each write is of the newest row, or fails."""

    @initialize(ahead=st.integers(0, 600))
    def begin(self, ahead: int) -> None:
        self.now = START
        self.row = new(send_at=START + timedelta(seconds=ahead))
        self.calls = 0
        self.copies = 0
        self.drafts = 0

    @rule(seconds=st.integers(-300, 600))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.row.state in {SubmissionState.COMPOSING, SubmissionState.FAILED})
    @rule()
    def composes_again(self) -> None:
        if not self.row.is_worked(self.now):
            self.row = self.row.composing_again("one", self.now, self.now, self.row.mailbox)

    @precondition(lambda self: self.row.state is SubmissionState.COMPOSING)
    @rule()
    def queues(self) -> None:
        self.drafts += 1
        self.row = self.row.queued(f"draft {self.drafts}", self.now)

    @precondition(lambda self: self.row.state in {SubmissionState.COMPOSING, SubmissionState.QUEUED})
    @rule(arrives=st.booleans(), answer=st.sampled_from(["accepted", "refused", "lost"]))
    def sends(self, arrives: bool, answer: str) -> None:  # noqa: FBT001 - drawn by hypothesis
        self.row = self.row.sending(self.row.draft or "draft", None, self.now)
        self.calls += 1
        if answer == "refused":
            self.row = self.row.failed("graph_refused", self.now)
        elif answer == "accepted" or arrives:
            self.copies += 1
        if answer == "accepted":
            self.row = self.row.sent("<sent>", self.now)

    @precondition(lambda self: self.row.state in {SubmissionState.SENDING, SubmissionState.UNKNOWN})
    @rule()
    def looks(self) -> None:
        if self.copies:
            self.row = self.row.sent(None, self.now)
        elif self.row.state is SubmissionState.SENDING:
            self.row = self.row.unknown(self.now)

    @invariant()
    def is_sent_at_most_once(self) -> None:
        if hasattr(self, "row"):
            assert self.copies <= 1
            assert self.row.state is not SubmissionState.SENT or self.copies == 1
            assert self.row.state is not SubmissionState.FAILED or self.copies == 0
            assert self.row.holds_key is (self.row.state is not SubmissionState.FAILED)


TestWorkers = Workers.TestCase


@pytest.mark.parametrize("state", SubmissionState)
def test_no_state_after_a_send_leads_back_to_one(state: SubmissionState) -> None:
    before = {SubmissionState.COMPOSING, SubmissionState.QUEUED}
    after = {SubmissionState.SENDING, SubmissionState.UNKNOWN, SubmissionState.SENT}

    assert state in before | {SubmissionState.FAILED} or not MOVES[state] & before
    assert state not in after or not MOVES[state] & before


def test_a_sent_message_never_moves_again() -> None:
    sent = new().sending("draft", None, START).sent("<sent>", START)

    with pytest.raises(IllegalMove):
        sent.taken(START)
    with pytest.raises(IllegalMove):
        sent.failed("graph_refused", START)
    with pytest.raises(IllegalMove):
        sent.sending("draft", None, START)
    assert sent.due == START + RETENTION


def test_a_new_attempt_is_for_the_mailbox_of_now() -> None:
    failed = new().failed("exchange_right_missing", START)

    again = failed.composing_again("one", START, START, "sales@contoso.example")

    assert ("sales@contoso.example", None) == (again.mailbox, again.code)


def test_a_lease_ends_though_a_clock_was_ahead() -> None:
    row = new(START + timedelta(hours=5))

    assert not row.is_worked(START)
    assert new().is_worked(START + LEASE - timedelta(seconds=1))
    assert not new().is_worked(START + LEASE)


def test_a_key_is_its_callers_own_for_each_account() -> None:
    ids = {submission_id(*parts) for parts in [("a", "b", "c"), ("ab", "", "c"), ("a", "bc", ""), ("a", "b", "d")]}

    assert len(ids) == 4
