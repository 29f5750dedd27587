"""Work the agenda's rows for grants: refresh what is due, and probe its mailboxes from time to time."""

from contextlib import suppress
from datetime import datetime, timedelta

from shared.domain.errors import StaleWrite
from shared.domain.grant import DelegatedGrant
from shared.domain.renewal import TokenRequest
from shared.domain.work import Work
from shared.ports import Clock, Principals, Stored
from shared.usecases import use_case
from shared.usecases.grants.probe_mailboxes import ProbeMailboxes
from shared.usecases.grants.refresh_grant import RefreshGrant
from shared.usecases.timers.work_agenda import EARLY, FAILED

# Somebody who has written the agenda's row is about to write the grant's; after this long they are not.
GRACE = timedelta(minutes=1)


@use_case
class KeepAlive:
    """The grant's own row decides: an agenda row of another time is left over from an earlier plan."""

    principals: Principals
    refresh: RefreshGrant
    probe: ProbeMailboxes
    clock: Clock

    async def __call__(self, work: Work, until: datetime) -> str:
        """Refresh the grant if this is what it waits for, or go on with a probe that has begun.

        Returns `refreshed`, `probed`, `leftover`, or the kind of failure; `failed` when new tokens could not be stored.
        """
        stored = await self.principals.grant(work.owner, work.item)
        if stored is None or stored.value.due != work.due:
            return "leftover" if self.clock() - work.due >= GRACE else EARLY
        if stored.value.probing is not None and stored.value.has_usable_token(self.clock()):
            return await self._go_on(stored, until)
        refreshed = await self.refresh(stored, TokenRequest(stored.value.next_resource(self.clock())))
        if refreshed is None:
            return "leftover"
        if not refreshed.stored:
            return FAILED
        if refreshed.failure is not None:
            return refreshed.failure.kind
        if refreshed.grant.value.is_probe_due(self.clock()):
            # Changed meanwhile, it is still due for a probe, and gets one after its next refresh.
            with suppress(StaleWrite):
                await self.probe(refreshed.grant, until)
        return "refreshed"

    async def _go_on(self, stored: Stored[DelegatedGrant], until: datetime) -> str:
        try:
            await self.probe(stored, until)
        except StaleWrite:  # its plan may still be the one of this row
            return EARLY
        return "probed"
