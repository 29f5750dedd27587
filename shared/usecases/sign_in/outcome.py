"""How a sign-in ends: what the person is shown, what the registration records, and how a grant waits for access."""

import json
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.domain.account import Principal
from shared.domain.audit import set_correlation_id
from shared.domain.clouds import Resource
from shared.domain.errors import Conflict, StorageUnavailable
from shared.domain.failure import NO_ACCESS
from shared.domain.invited_mailbox import (
    ComparedAddresses,
    MailboxResult,
    MailboxState,
    PendingAccount,
    new_pending_account,
)
from shared.domain.registration import PendingRegistration
from shared.domain.secret import Secret
from shared.domain.tokens import TokenSet
from shared.domain.work import Work, WorkKind
from shared.ports import App, SignedIn, retry_on_conflict
from shared.usecases.events.outbox import refusal_events
from shared.usecases.sign_in.link import (
    APP_UNAVAILABLE,
    LinkPage,
    UnusableLink,
    seal_for_browser,
    unseal_from_browser,
    usable_link,
)

log = logging.getLogger(__name__)

CARRIED_GRANT_LIFETIME = timedelta(minutes=30)
KEEP_CHECKING_PURPOSE = "keep"
# Another sign-in through the same link would end the same way.
FINAL_CODES = {
    APP_UNAVAILABLE,
    "link_used",
    "link_replaced",
    "link_expired",
    "link_withdrawn",
    "link_cancelled",
    "account_removed",
    "other_kind",
    "other_mailbox",
    "other_app",
    "account_id_in_use",
    "same_mailbox",
}


class CarriedField(NamedTuple):
    """A form field of a page that is sealed for one browser, such as a grant, and the registration that it is for."""

    registration: str
    field: str


class OpenedGrant(NamedTuple):
    """A grant from a page, and its OAuth app; empty on pages of earlier versions."""

    signed_in: SignedIn
    app: str


class Completed(NamedTuple):
    """The sign-in is complete: each mailbox is bound, refused, or checked again until `until`.

    `results` are those of this sign-in, by account. `again` is the page to start over in this browser; `keep` lets the
    person ask Mailbind to keep checking mailboxes that do not open yet, without a second sign-in.
    """

    registration: PendingRegistration
    results: Mapping[str, MailboxResult]
    again: LinkPage | None = None
    keep: CarriedField | None = None
    until: datetime | None = None
    principal: str | None = None


class Refused(NamedTuple):
    """The sign-in was refused as a whole, or interrupted. Mailboxes that were bound before stay bound.

    `again` is the page to start over in this browser, while the link works. Without a second sign-in, `keep` lets the
    person ask Mailbind to keep checking, and `finish` continues a sign-in that an outage interrupted. `look` asks for
    the end of a sign-in that is still in progress. `compared` are addresses that are not the same person's.
    """

    code: str
    registration: PendingRegistration | None = None
    again: LinkPage | None = None
    keep: CarriedField | None = None
    finish: CarriedField | None = None
    look: CarriedField | None = None
    principal: str | None = None
    compared: ComparedAddresses | None = None


type Outcome = Completed | Refused


def bound_by(registration: PendingRegistration, principal_id: str) -> dict[str, MailboxResult]:
    """What this principal's sign-ins have bound, by account."""
    return {
        mailbox.account: MailboxResult(mailbox.state, email=mailbox.email)
        for mailbox in registration.mailboxes
        if mailbox.state.is_bound and mailbox.principal_id == principal_id
    }


async def carry_grant(
    app: App, purpose: str, registration: PendingRegistration, signed_in: SignedIn, cookie: Secret
) -> CarriedField:
    """Make a form field that carries the grant, sealed for this browser, registration and purpose.

    It holds no access token: a new one is requested when the field comes back.
    """
    principal = signed_in.principal
    content = {
        "tid": principal.tenant_id,
        "oid": principal.object_id,
        "name": principal.sign_in_name,
        "app": registration.app,
        "refresh": signed_in.tokens.refresh_token.reveal(),
        "scopes": signed_in.tokens.scopes,
        "resource": signed_in.tokens.resource,
        "until": (app.clock() + CARRIED_GRANT_LIFETIME).isoformat(),
    }
    field = await seal_for_browser(app, purpose, registration.id, cookie, Secret(json.dumps(content)))
    return CarriedField(registration.id, field)


async def open_carried_grant(
    app: App, purpose: str, carried: CarriedField, cookie: Secret | None
) -> OpenedGrant | None:
    """Read the grant, with an expired access token. None if the field is too old or from another browser."""
    unsealed = await unseal_from_browser(app, purpose, carried.registration, cookie, carried.field)
    if unsealed is None:
        return None
    content, now = json.loads(unsealed.reveal()), app.clock()
    if now >= datetime.fromisoformat(content["until"]):
        return None
    resource = Resource(content.get("resource", Resource.GRAPH))
    tokens = TokenSet(Secret(content["refresh"]), Secret(""), now, tuple(content["scopes"]), resource)
    principal = Principal(content["tid"], content["oid"], content["name"], token_name=content["name"])
    return OpenedGrant(SignedIn(principal, tokens), content.get("app", ""))


async def keep_checking(app: App, carried: CarriedField, cookie: Secret | None) -> Outcome:
    """Keep checking mailboxes that do not open yet, as the person asked. Until then the grant was only in the page."""
    try:
        opened = await open_carried_grant(app, KEEP_CHECKING_PURPOSE, carried, cookie)
        if opened is None:
            return Refused("sign_in_unknown")
        registration = (await usable_link(app, carried.registration)).value
        set_correlation_id(registration.correlation)
        open_mailboxes = registration.unsettled_mailboxes
        inaccessible = [mailbox for mailbox in open_mailboxes if mailbox.failure == NO_ACCESS]
        pending = new_pending_account(
            registration=registration.id,
            accounts=tuple(mailbox.account for mailbox in inaccessible or open_mailboxes),
            principal=opened.signed_in.principal,
            app=registration.via_app(opened.app).app,
            tokens=opened.signed_in.tokens,
            kept=True,
            reason=NO_ACCESS,
            now=app.clock(),
        )
        return await wait_for_mailboxes(app, registration, pending)
    except StorageUnavailable:
        return Refused("storage_unavailable", keep=carried)
    except UnusableLink as link:
        return Refused(link.code, link.registration)


async def wait_for_mailboxes(app: App, registration: PendingRegistration, pending: PendingAccount) -> Outcome:
    """Store a pending account: first its agenda row, then the account, then the registration's status.

    After a crash before the last step, the first probe makes up for it. Nothing stays if the link became unusable.
    """
    principal_id = pending.principal.id
    await app.stores.agenda.add(Work(WorkKind.PROBE, pending.due, principal_id, registration.id))
    await app.stores.principals.update_pending(
        principal_id, registration.id, lambda stored: pending.merged_with(stored) if stored else pending
    )
    try:
        await usable_link(app, registration.id)
    except UnusableLink as link:
        await app.stores.principals.forget_pending(principal_id, registration.id)
        return Refused(link.code, registration, principal=principal_id)
    waiting = MailboxResult(MailboxState.WAITING_FOR_ACCESS, pending.reason)
    results = dict.fromkeys(pending.accounts, waiting)
    recorded = await record_results(app, registration.id, principal_id, results)
    log.info("access awaited", extra={"registration": registration.id, "code": pending.reason})
    shown = recorded.via_app(pending.app) if recorded else registration
    return Completed(shown, results, until=pending.until, principal=principal_id)


async def record_results(
    app: App, registration_id: str, principal_id: str, results: Mapping[str, MailboxResult]
) -> PendingRegistration | None:
    """Record results on the registration, and return it; None if it was deleted.

    The accounts are the truth. So after too many conflicting writes the registration stays as it is.
    """

    async def attempt() -> PendingRegistration | None:
        stored = await app.stores.registrations.get(registration_id)
        if stored is None:
            return None
        updated = stored.value.after_sign_in(principal_id, results, app.clock())
        events = await refusal_events(app, stored.value, updated)
        return (await app.stores.registrations.replace(stored, updated, events)).value

    try:
        return await retry_on_conflict(attempt)
    except Conflict:
        stored = await app.stores.registrations.get(registration_id)
        return stored.value if stored else None
