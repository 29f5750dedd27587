"""Cancel a registration: its link ends, and so does every sign-in through it that has not bound anything yet."""

import logging

from shared.domain.caller import Caller
from shared.domain.errors import Conflict, NotFound, StaleWrite
from shared.domain.registration import PendingRegistration
from shared.ports import Principals, Registrations
from shared.usecases import use_case

log = logging.getLogger(__name__)

MAX_WRITE_ATTEMPTS = 8


@use_case
class CancelRegistration:
    """The link first: from then on no step of a sign-in passes. What is bound already stays bound.

    No event tells of it, because the one who ends a link knows.
    """

    registrations: Registrations
    principals: Principals

    async def __call__(self, registration: str, caller: Caller) -> PendingRegistration:
        """The registration as it is then; repeating it changes nothing. Raises NotFound and Conflict."""
        for _ in range(MAX_WRITE_ATTEMPTS):
            stored = await self.registrations.get(registration)
            if stored is None or not all(caller.can_access(mailbox.account) for mailbox in stored.value.mailboxes):
                raise NotFound("No such registration")
            link = stored.value
            cancelled = link.cancelled([mailbox.account for mailbox in link.unsettled_mailboxes])
            if link.unsettled_mailboxes:
                try:
                    await self.registrations.replace(stored, cancelled)
                except StaleWrite:
                    continue
                log.info("registration cancelled", extra={"registration": registration, "by": caller.id})
            for waiting in {mailbox.principal_id for mailbox in link.unsettled_mailboxes}:
                if waiting is not None:
                    await self.principals.forget_pending(waiting, registration)
            return cancelled
        raise Conflict("The registration is being changed by others; try again")
