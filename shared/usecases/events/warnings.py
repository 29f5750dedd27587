"""Warn ahead: of grants that would die of idleness, and of OAuth apps whose credential ends. Once for each end."""

import logging
from contextlib import suppress

from shared.domain.errors import StaleWrite
from shared.domain.event import EventName, ExpiryWarning, Origin, expiring_secret_data, secret_warning_id
from shared.domain.grant import DelegatedGrant
from shared.domain.oauth_app import OAuthApp
from shared.ports import App, Replace
from shared.usecases.events.outbox import expiry_warning, queue_event

log = logging.getLogger(__name__)


async def warn_of_idle_grant(app: App, grant: DelegatedGrant) -> None:
    """Tell every account of a grant that nothing has renewed for long. One that was stopped has told already.

    The sweep comes by every day. What was warned of is written with the event, so nobody is warned twice.
    """
    expires = grant.expires_if_idle
    if expires is None or app.clock() < expires - app.config.warn_ahead:
        return
    partition = await app.stores.principals.partition(grant.principal.id)
    held = partition.grants.get(grant.app)
    if held is None or held.value.refreshed != grant.refreshed:
        return  # renewed just now
    for stored in partition.served_by(grant.app):
        if stored.value.warned == expires:
            continue
        told, news = await expiry_warning(app, stored.value, expires)
        with suppress(StaleWrite):  # somebody writes about this account right now; tomorrow is early enough
            await app.stores.principals.commit(told.principal_id, [Replace(told, stored.version), *news])
            log.warning("grant expires", extra={"principal": grant.principal.id, "app": grant.app})


async def warn_of_expiring_secret(app: App, oauth_app: OAuthApp) -> None:
    """Tell of an OAuth app whose credential ends soon, if anybody has said when."""
    expires = oauth_app.secret_expires
    if expires is None or app.clock() < expires - app.config.warn_ahead:
        return
    known = await app.stores.warned.get(secret_warning_id(oauth_app.id))
    if known is not None and known.value.expires == expires:
        return
    name, data = EventName.OAUTH_APP_SECRET_EXPIRING, expiring_secret_data(oauth_app, expires)
    news = [await queue_event(app, Origin.OAUTH_APP, secret_warning_id(oauth_app.id), name, data)]
    with suppress(StaleWrite):  # another instance's sweep
        mark = ExpiryWarning(secret_warning_id(oauth_app.id), expires)
        await app.stores.warned.put(known, mark, news)
        log.warning("oauth app secret expires", extra={"app": oauth_app.id})
