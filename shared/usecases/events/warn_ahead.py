"""Warn ahead: of grants that would die of idleness, and of OAuth apps whose credential ends. Once for each end."""

import logging
from contextlib import suppress
from datetime import timedelta

from shared.domain.errors import StaleWrite
from shared.domain.event import EventName, ExpiryWarning, Origin, expiring_secret_data, secret_warning_id
from shared.domain.grant import DelegatedGrant
from shared.domain.oauth_app import OAuthApp
from shared.ports import Clock, Principals, Replace, Rows
from shared.usecases import use_case
from shared.usecases.events.outbox import Outbox

log = logging.getLogger(__name__)


@use_case
class WarnAhead:
    """The sweep comes by every day. What was warned of is written with the event, so nobody is warned twice."""

    principals: Principals
    warned: Rows[ExpiryWarning]
    outbox: Outbox
    clock: Clock
    ahead: timedelta

    async def of_grant(self, grant: DelegatedGrant) -> None:
        """Tell every account of a grant that nothing has renewed for long. One that was stopped has told already."""
        expires = grant.expires_if_idle
        if expires is None or self.clock() < expires - self.ahead:
            return
        partition = await self.principals.partition(grant.principal.id)
        held = partition.grants.get(grant.app)
        if held is None or held.value.refreshed != grant.refreshed:
            return  # renewed just now
        for stored in partition.served_by(grant.app):
            if stored.value.warned == expires:
                continue
            told, news = await self.outbox.warn(stored.value, expires)
            with suppress(StaleWrite):  # somebody writes about this account right now; tomorrow is early enough
                await self.principals.commit(told.principal_id, [Replace(told, stored.version), *news])
                log.warning("grant expires", extra={"principal": grant.principal.id, "app": grant.app})

    async def of_app(self, app: OAuthApp) -> None:
        """Tell of an OAuth app whose credential ends soon, if anybody has said when."""
        expires = app.secret_expires
        if expires is None or self.clock() < expires - self.ahead:
            return
        known = await self.warned.get(secret_warning_id(app.id))
        if known is not None and known.value.expires == expires:
            return
        name, data = EventName.OAUTH_APP_SECRET_EXPIRING, expiring_secret_data(app, expires)
        news = [await self.outbox.event(Origin.OAUTH_APP, secret_warning_id(app.id), name, data)]
        with suppress(StaleWrite):  # another instance's sweep
            mark = ExpiryWarning(secret_warning_id(app.id), expires)
            await (self.warned.insert(mark, news) if known is None else self.warned.replace(known, mark, news))
            log.warning("oauth app secret expires", extra={"app": app.id})
