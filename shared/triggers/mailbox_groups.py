"""What became of several mailboxes, as a page and the audit log tell it."""

from shared.domain.audit import AuditOutcome
from shared.domain.invited_mailbox import InvitedMailbox, MailboxResult, MailboxState
from shared.usecases.sign_in.outcome import Tried

BOUND, WAITING = "bound", "waiting"


def grouped(outcome: Tried) -> dict[str, list[InvitedMailbox]]:
    """The mailboxes under BOUND, WAITING, or the code of why they are refused; earlier sign-ins are told too."""
    groups: dict[str, list[InvitedMailbox]] = {}
    for mailbox in outcome.registration.mailboxes:
        result = outcome.results.get(mailbox.account, MailboxResult(mailbox.state, mailbox.failure))
        groups.setdefault(_group(result), []).append(mailbox)
    return groups


def came_to(outcome: Tried) -> AuditOutcome:
    """The best that came of any of them."""
    states = {result.state for result in outcome.results.values()}
    if any(state.is_bound for state in states):
        return AuditOutcome.DONE
    return AuditOutcome.WAITING if MailboxState.WAITING_FOR_ACCESS in states else AuditOutcome.REFUSED


def _group(result: MailboxResult) -> str:
    if result.state.is_bound:
        return BOUND
    return WAITING if result.state is MailboxState.WAITING_FOR_ACCESS else result.code or "unknown_failure"
