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
3. `fan_out` fans events out: one row in `Deliveries` for each target that wants it, in the order of the ids.
4. `deliver_events` has the targets visited side by side, and `visit_target` works a target's lanes (accounts) side by
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
    new_event,
    next_event_time,
    registration_data,
)
from shared.domain.failure import Failure
from shared.domain.registration import PendingRegistration
from shared.domain.work import Work, WorkKind
from shared.ports import App, Insert


async def account_events(
    app: App,
    account: Account,
    names: Iterable[EventName],
    failure: Failure | None = None,
    before: Account | None = None,
) -> tuple[Account, list[Insert]]:
    """One event of each name about an account, and the account that is to be written with them.

    Makes events; the caller writes them in the same transaction as what they tell of.
    """
    told, news = account, []
    for name in names:
        told, event = await _account_event(app, told, name, account_data(name, account, failure, before))
        news.append(event)
    return told, news


async def expiry_warning(app: App, account: Account, expires: datetime) -> tuple[Account, list[Insert]]:
    """The event that an account's grant would die, and the account that knows of the warning."""
    warned = replace(account, warned=expires)
    told, event = await _account_event(app, warned, EventName.GRANT_EXPIRING, expiring_grant_data(account, expires))
    return told, [event]


async def refusal_events(app: App, before: PendingRegistration, now: PendingRegistration) -> list[Event]:
    """One event for each reason for which a sign-in through a link did not bind accounts."""
    refused: dict[str, list[str]] = {}
    for account, code in now.new_refusals_since(before).items():
        refused.setdefault(code, []).append(account)
    name = EventName.REGISTRATION_FAILED
    return [await link_event(app, now, name, accounts, code) for code, accounts in refused.items()]


async def link_event(
    app: App, link: PendingRegistration, name: EventName, accounts: Sequence[str], code: str | None
) -> Event:
    """One event about several accounts of a link."""
    event = await queue_event(app, Origin.REGISTRATION, link.id, name, registration_data(link, code), accounts[0])
    return replace(event, accounts=tuple(accounts))


async def queue_event(
    app: App,
    origin: Origin,
    owner: str,
    name: EventName,
    data: Mapping[str, Any],
    account: str | None = None,
    *,
    counts_at: datetime | None = None,
) -> Event:
    """A new event whose row is on the agenda; the caller writes the event itself. See `new_event`."""
    now = app.clock()
    event = new_event(origin, owner, name, data, account, now=now, suffix=app.entropy(8), counts_at=counts_at)
    await app.stores.agenda.add(outbox_row(event, counts_at or now))
    return event


def outbox_row(event: Event, counts_at: datetime) -> Work:
    """The agenda's row for an event."""
    return Work(WorkKind.LATE_EVENT if event.can_wait else WorkKind.EVENT, counts_at, event.source, event.id)


async def _account_event(
    app: App, account: Account, name: EventName, data: Mapping[str, Any]
) -> tuple[Account, Insert]:
    told = replace(account, told=next_event_time(account.told, app.clock()))
    event = await queue_event(app, Origin.PRINCIPAL, told.principal_id, name, data, told.id, counts_at=told.told)
    return told, Insert(event)
