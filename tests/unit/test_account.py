"""Accounts whose address now belongs to another mailbox."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.account import Account, AccountState
from tests.contract import records

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
MINE, OTHER = "inbox-of-the-proven-mailbox", "inbox-of-another"
MOVES = {
    "another opens": lambda a: a.after_probe(OTHER, NOW),
    "nothing opens": lambda a: a.with_error(AccountState.CONNECT_ERROR, "no_mailbox_access", NOW),
    "the grant is stopped": lambda a: a.with_error(AccountState.AUTHENTICATION_ERROR, "needs_sign_in", NOW),
    "the grant is well": lambda a: a.recovered(),
    "it opens by IMAP": lambda a: a.after_probe(None, NOW),
    "it is paused": lambda a: a.paused(),
    "it is resumed": lambda a: a.resumed(AccountState.CONNECTED),
}


def account(inbox_id: str | None = MINE) -> Account:
    return records.account(records.principal(), NOW).after_probe(inbox_id, NOW)


def test_the_first_inbox_id_is_kept() -> None:
    assert (MINE, None) == (account(None).after_probe(MINE, NOW).inbox_id, account(None).inbox_id)


@given(st.lists(st.sampled_from(sorted(MOVES))))
def test_only_the_original_mailbox_clears_a_replacement(moves: list[str]) -> None:
    seen = account().after_probe(OTHER, NOW)
    for move in moves:
        seen = MOVES[move](seen)
        assert (NOW, MINE) == (seen.replaced_since, seen.inbox_id)
    assert seen.after_probe(MINE, NOW + timedelta(days=1)).replaced_since is None


def test_recovery_reports_a_replaced_mailbox() -> None:
    seen = account().after_probe(OTHER, NOW)
    stopped = seen.with_error(AccountState.AUTHENTICATION_ERROR, "needs_sign_in", NOW + timedelta(days=1))

    again = stopped.recovered().after_probe(OTHER, NOW + timedelta(days=2))

    assert again.last_error is not None
    assert (AccountState.CONNECT_ERROR, "mailbox_replaced") == (again.state, again.last_error.code)
    assert (NOW, NOW) == (again.last_error.since, again.replaced_since)
