"""The stages of a registration."""

from datetime import UTC, datetime, timedelta

from shared.domain.invited_mailbox import InvitedMailbox, MailboxResult, MailboxState
from shared.domain.registration import PendingRegistration, RegistrationStatus

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def test_a_reported_expiry_stands_unless_a_mailbox_was_bound() -> None:
    mailboxes = (InvitedMailbox("one", state=MailboxState.REFUSED, failure="no_mailbox_access"), InvitedMailbox("two"))
    over = PendingRegistration("r", mailboxes, "https://a.example", "app", "me", NOON, NOON + timedelta(days=1))
    over = over.expired()

    refused = MailboxResult(MailboxState.REFUSED, "link_expired")
    assert over == over.after_sign_in("t.o", {"two": refused}, NOON)
    assert RegistrationStatus.EXPIRED is over.replaced({"two"}).stage
    bound = over.after_sign_in("t.o", {"two": MailboxResult(MailboxState.NEW)}, NOON)
    assert RegistrationStatus.COMPLETED is bound.stage
