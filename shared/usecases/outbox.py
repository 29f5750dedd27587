"""Events on their way into a transaction, each with the agenda's row for it."""

from collections.abc import Iterable

from shared.domain.account import Account
from shared.domain.event import KEPT, Event, EventName
from shared.domain.work import Work, WorkKind
from shared.ports import Agenda, Clock, Entropy, Insert
from shared.usecases import use_case


@use_case
class Outbox:
    """Makes events; the caller writes them in the same transaction as what they tell of."""

    agenda: Agenda
    clock: Clock
    entropy: Entropy

    async def tell(self, account: Account, names: Iterable[EventName]) -> list[Insert]:
        """The changes that add one event of each name about an account. The agenda is written first."""
        code = account.last_error.code if account.last_error else None
        return [await self.event(account.principal_id, name, account.id, code) for name in names]

    async def event(self, principal_id: str, name: EventName, account: str, code: str | None) -> Insert:
        """The change that adds one event. Its id sorts by time, to the millisecond."""
        now = self.clock()
        identity = f"{int(now.timestamp() * 1000):012x}{self.entropy(8).hex()}"
        await self.agenda.add(Work(WorkKind.EVENT, now + KEPT, principal_id, identity))
        return Insert(Event(identity, principal_id, name, account, now, code))
