"""The outbox: makes events. The caller writes each event in the same transaction as the change that it reports.

How an event gets from a change to the targets, so that none is lost, none reports a change that did not happen, and the
events of an account arrive in order:

1. The event is in the partition of the changed row: the principal's, the registration's or the OAuth app's. Its agenda
   row is written first. An agenda row whose event was never committed, after a conflict or a crash, is ignored once no
   function can still be running.
2. Ids define the order. An account's row contains the time of its last event, and the next event counts as later, even
   if the clock went back. The row is written conditionally, so of two writers with the same predecessor only one
   commits, and no event is written after a later one. The time moves with the row when the account gets another
   principal. An account that is deleted and created again starts from the clock.
3. `delivery.fan_out` writes one delivery for each target, in the order of ids.
4. `delivery.deliver_events` visits the targets concurrently, and `target.visit_target` works a target's lanes (one for
   each account) concurrently, each in order. A failing delivery blocks its own lane at its own target only.
5. Rows are deleted last: an event after its deliveries are written, a delivery after the target accepted it. So a crash
   can repeat a delivery, under the same id.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from shared.domain.account import Account
from shared.domain.errors import StaleWrite
from shared.domain.event import (
    Event,
    EventName,
    ExpiryWarning,
    Origin,
    account_data,
    expiring_grant_data,
    expiring_secret_data,
    new_event,
    next_event_time,
    registration_data,
    secret_warning_id,
)
from shared.domain.failure import Failure
from shared.domain.grant import DelegatedGrant
from shared.domain.oauth_app import OAuthApp
from shared.domain.registration import PendingRegistration
from shared.domain.work import Work, WorkKind
from shared.ports import App, Insert, Replace

log = logging.getLogger(__name__)


async def account_events(
    app: App,
    account: Account,
    names: Iterable[EventName],
    failure: Failure | None = None,
    before: Account | None = None,
) -> tuple[Account, list[Insert]]:
    """One event of each name about an account, and the account to write with them."""
    updated, inserts = account, []
    for name in names:
        updated, insert = await _account_event(app, updated, name, account_data(name, account, failure, before))
        inserts.append(insert)
    return updated, inserts


async def refusal_events(app: App, before: PendingRegistration, after: PendingRegistration) -> list[Event]:
    """One event for each reason why a sign-in through a link did not bind accounts."""
    accounts_by_code: dict[str, list[str]] = {}
    for account, code in after.new_refusals_since(before).items():
        accounts_by_code.setdefault(code, []).append(account)
    name = EventName.REGISTRATION_FAILED
    return [await link_event(app, after, name, accounts, code) for code, accounts in accounts_by_code.items()]


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
    """A new event, whose agenda row is written. The caller writes the event itself. See `new_event`."""
    now = app.clock()
    event = new_event(origin, owner, name, data, account, now=now, suffix=app.entropy(8), counts_at=counts_at)
    await app.stores.agenda.add(outbox_row(event, counts_at or now))
    return event


def outbox_row(event: Event, counts_at: datetime) -> Work:
    """The agenda row for an event."""
    return Work(WorkKind.LATE_EVENT if event.can_wait else WorkKind.EVENT, counts_at, event.source, event.id)


async def _account_event(
    app: App, account: Account, name: EventName, data: Mapping[str, Any]
) -> tuple[Account, Insert]:
    updated = replace(account, told=next_event_time(account.told, app.clock()))
    event = await queue_event(
        app, Origin.PRINCIPAL, updated.principal_id, name, data, updated.id, counts_at=updated.told
    )
    return updated, Insert(event)


async def warn_of_idle_grant(app: App, grant: DelegatedGrant) -> None:
    """Write an event for each account of a grant that will soon expire because nothing has refreshed it.

    The account records the warning in the same transaction, so the daily sweep warns once for each expiry. A grant that
    failed is not idle, and its accounts have events about that.
    """
    expires = grant.expires_if_idle
    if expires is None or app.clock() < expires - app.config.warn_ahead:
        return
    partition = await app.stores.principals.partition(grant.principal.id)
    current = partition.grants.get(grant.app)
    if current is None or current.value.refreshed != grant.refreshed:
        return  # refreshed just now
    for stored in partition.served_by(grant.app):
        if stored.value.warned == expires:
            continue
        warned = replace(stored.value, warned=expires)
        data = expiring_grant_data(stored.value, expires)
        updated, insert = await _account_event(app, warned, EventName.GRANT_EXPIRING, data)
        with suppress(StaleWrite):  # the account was changed just now; tomorrow's sweep warns
            await app.stores.principals.commit(updated.principal_id, [Replace(updated, stored.version), insert])
            log.warning("grant expires", extra={"principal": grant.principal.id, "app": grant.app})


async def warn_of_expiring_secret(app: App, oauth_app: OAuthApp) -> None:
    """Write an event for an OAuth app whose credential expires soon, once for each expiry that an operator entered."""
    expires = oauth_app.secret_expiry_within(app.config.warn_ahead, app.clock())
    if expires is None:
        return
    warning_id = secret_warning_id(oauth_app.id)
    previous = await app.stores.warned.get(warning_id)
    if previous is not None and previous.value.expires == expires:
        return
    name, data = EventName.OAUTH_APP_SECRET_EXPIRING, expiring_secret_data(oauth_app, expires)
    event = await queue_event(app, Origin.OAUTH_APP, warning_id, name, data)
    with suppress(StaleWrite):  # another instance's sweep warned
        await app.stores.warned.put(previous, ExpiryWarning(warning_id, expires), [event])
