"""Record on a link what became of its mailboxes."""

from collections.abc import Mapping

from shared.domain.errors import StaleWrite
from shared.domain.invited_mailbox import MailboxResult
from shared.domain.registration import PendingRegistration
from shared.ports import Clock, Registrations
from shared.usecases import use_case
from shared.usecases.events.outbox import Outbox

TRIES = 8


@use_case
class RecordResults:
    """The accounts are the truth; the link only says so, and may say it again."""

    registrations: Registrations
    outbox: Outbox
    clock: Clock

    async def __call__(
        self, registration: str, principal_id: str, results: Mapping[str, MailboxResult], *, gave_up: bool = False
    ) -> PendingRegistration | None:
        """The link as it is then; None when it is gone. After losing every race it says nothing new."""
        link = await self.registrations.get(registration)
        for _ in range(TRIES):
            if link is None:
                return None
            after = link.value.after_sign_in(principal_id, results, self.clock(), stop_waiting=gave_up)
            try:
                return (
                    await self.registrations.replace(link, after, await self.outbox.refusals(link.value, after))
                ).value
            except StaleWrite:
                link = await self.registrations.get(registration)
        return link.value if link else None
