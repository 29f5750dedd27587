"""Live links: whether a link leads anywhere, and whether the caller who asked for it still may have it followed."""

from dataclasses import dataclass

from shared.domain.invited_mailbox import LINK_CANCELLED, MailboxState
from shared.domain.registration import PendingRegistration, RegistrationStatus
from shared.domain.webhook import can_register
from shared.ports import Clock, Registrations, Stored
from shared.usecases import use_case
from shared.usecases.callers.standing_callers import StandingCallers

WITHDRAWN = "link_withdrawn"


@dataclass(frozen=True, slots=True)
class DeadLink:
    """A link that leads nowhere any more, and why."""

    code: str
    registration: PendingRegistration | None = None


@use_case
class LiveLinks:
    """Every step of a sign-in reads its link here, so that authority counts when it is used."""

    registrations: Registrations
    callers: StandingCallers
    clock: Clock

    async def __call__(self, registration: str) -> Stored[PendingRegistration] | DeadLink:
        """The invitation, or why it is none. Raises StorageUnavailable."""
        stored = await self.registrations.get(registration)
        if stored is None:
            return DeadLink("link_unknown")
        if not stored.value.is_usable(self.clock()):
            return DeadLink(_end_of(stored.value), stored.value)
        requester = await self.callers(stored.value.requested_by)
        if not can_register(requester, (mailbox.account for mailbox in stored.value.unsettled_mailboxes)):
            return DeadLink(WITHDRAWN, stored.value)
        return stored


def _end_of(link: PendingRegistration) -> str:
    if link.unsettled_mailboxes:
        return "link_expired"
    if link.stage is RegistrationStatus.REPLACED:
        return "link_replaced"
    cancelled = [mailbox.failure for mailbox in link.mailboxes if mailbox.state is MailboxState.CANCELLED]
    return cancelled[0] or LINK_CANCELLED if cancelled else "link_used"
