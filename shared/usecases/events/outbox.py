"""The outbox: events on their way into a transaction, each with the agenda's row for it.

How an event gets from a change to its targets, so that none is lost, none is invented, and those of an account arrive
in order:

1. Whatever changes something writes the event in the same transaction, and hence in the same partition: the
   principal's, the registration's or the OAuth app's. The agenda's row is written before that. A row whose event never
   came, after a lost race or a crash, is kept for as long as a function can run; then it means nothing.
2. The order is in the ids. An account's row says when its last event happened, and the next one counts as later,
   whatever the clock says. The row is written conditionally, so of two writers with the same predecessor only one comes
   through: an event that is still to be written is never older than one that was written. The row takes the time along
   when the account moves to another principal's partition; only an account that is deleted and made anew starts from
   the clock.
3. `DrainOutbox` fans events out: one row in `Deliveries` for each target that wants it, in the order of the ids.
4. `DeliverEvents` has the targets visited side by side, and `DeliverToTarget` works a target's lanes (accounts) side by
   side, each in order. A head that fails holds up its own lane at its own target, and nothing else.
5. Rows go last: an event when its deliveries are written, a delivery when the target took it. So a crash means that
   something is told twice, under the same id.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from shared.domain.account import Account
from shared.domain.event import (
    Event,
    EventName,
    Origin,
    account_data,
    expiring_grant_data,
    next_event_time,
    registration_data,
)
from shared.domain.failure import Failure
from shared.domain.formats import correlation_id
from shared.domain.registration import PendingRegistration
from shared.domain.work import Work, WorkKind
from shared.ports import Agenda, Clock, Entropy, Insert
from shared.usecases import use_case


@use_case
class Outbox:
    """Makes events; the caller writes them in the same transaction as what they tell of."""

    agenda: Agenda
    clock: Clock
    entropy: Entropy

    async def tell(
        self,
        account: Account,
        names: Iterable[EventName],
        failure: Failure | None = None,
        before: Account | None = None,
    ) -> tuple[Account, list[Insert]]:
        """One event of each name about an account, and the account that is to be written with them."""
        told, news = account, []
        for name in names:
            told, event = await self._about(told, name, account_data(name, account, failure, before))
            news.append(event)
        return told, news

    async def warn(self, account: Account, expires: datetime) -> tuple[Account, list[Insert]]:
        """The event that an account's grant would die, and the account that knows of the warning."""
        warned = replace(account, warned=expires)
        told, event = await self._about(warned, EventName.GRANT_EXPIRING, expiring_grant_data(account, expires))
        return told, [event]

    async def refusals(self, before: PendingRegistration, now: PendingRegistration) -> list[Event]:
        """One event for each reason for which a sign-in through a link did not bind accounts."""
        refused: dict[str, list[str]] = {}
        for account, code in now.new_refusals_since(before).items():
            refused.setdefault(code, []).append(account)
        name = EventName.REGISTRATION_FAILED
        return [await self.of_link(now, name, accounts, code) for code, accounts in refused.items()]

    async def of_link(
        self, link: PendingRegistration, name: EventName, accounts: Sequence[str], code: str | None
    ) -> Event:
        """One event about several accounts of a link."""
        event = await self.event(Origin.REGISTRATION, link.id, name, registration_data(link, code), accounts[0])
        return replace(event, accounts=tuple(accounts))

    async def event(
        self,
        origin: Origin,
        owner: str,
        name: EventName,
        data: Mapping[str, Any],
        account: str | None = None,
        *,
        counts_at: datetime | None = None,
    ) -> Event:
        """An event that lies in its owner's partition; `counts_at` is its place in the order, now when not given."""
        now = self.clock()
        order = counts_at or now
        identity = f"{int(order.timestamp() * 1000):012x}{self.entropy(8).hex()}"
        event = Event(identity, origin, owner, name, now, account, data, correlation_id())
        kind = WorkKind.LATE_EVENT if event.can_wait else WorkKind.EVENT
        await self.agenda.add(Work(kind, order, event.source, identity))
        return event

    async def _about(self, account: Account, name: EventName, data: Mapping[str, Any]) -> tuple[Account, Insert]:
        told = replace(account, told=next_event_time(account.told, self.clock()))
        event = await self.event(Origin.PRINCIPAL, told.principal_id, name, data, told.id, counts_at=told.told)
        return told, Insert(event)
