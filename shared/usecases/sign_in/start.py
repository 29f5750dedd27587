"""Start a registration, which makes a sign-in link; reauthorize an account; cancel a registration."""

import asyncio
import base64
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from shared.domain.account import Account
from shared.domain.audit import correlation_id
from shared.domain.caller import Caller
from shared.domain.errors import Conflict, InvalidInput, NotFound, StaleWrite
from shared.domain.formats import fingerprint
from shared.domain.invited_mailbox import InvitedMailbox
from shared.domain.oauth_app import OAuthApp
from shared.domain.registration import EXPIRY_EVENT_DELAY, OUTCOME_RETENTION, NewestLink, PendingRegistration
from shared.domain.secret import Secret
from shared.domain.work import Work, WorkKind
from shared.ports import App, Entropy, retry_on_conflict
from shared.usecases.accounts.read import find_account, known_account
from shared.usecases.sign_in.invitation import Invitation, invitation_faults

log = logging.getLogger(__name__)

ACCOUNT_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Started:
    """The link, and the id that its status is read by."""

    url: Secret
    registration: str
    accounts: tuple[str, ...]
    expires: datetime


async def start_registration(app: App, invitation: Invitation, faults: Mapping[str, str], caller: Caller) -> Started:
    """Store a registration and make its link. It replaces every earlier link of its accounts.

    Any caller who may register an account may ask again, so nobody reserves an account's id by asking first. A caller
    that is bound to certain accounts has to name each account. `faults` were found while the form was parsed. Raises
    InvalidInput with all faults, and Forbidden for an account that the caller may not reach.
    """
    for mailbox in invitation.wanted:
        if mailbox.account:
            caller.require_account(mailbox.account)
    existing = await _existing_accounts(app, invitation, faults)
    oauth_app = await _chosen_app(app, invitation, existing)
    faults = invitation_faults(invitation, existing, caller, oauth_app, app.config.redirect_origins) | dict(faults)
    if faults or oauth_app is None or invitation.redirect_url is None:
        raise InvalidInput(faults)
    asked = _completed(invitation, existing)
    ticket = Secret(base64.urlsafe_b64encode(app.entropy(32)).rstrip(b"=").decode())
    now = app.clock()
    registration = PendingRegistration(
        id=fingerprint(ticket),
        mailboxes=tuple(replace(one, account=one.account or new_account_id(app.entropy)) for one in asked.wanted),
        redirect_url=invitation.redirect_url,
        app=oauth_app,
        requested_by=caller.id,
        requester=caller.name,
        created=now,
        expires=now + app.config.link_lifetime,
        expected_email=invitation.expected_email,
        expected_tenant=invitation.expected_tenant,
        delegated=asked.delegated,
        allow_principal_change=invitation.allow_principal_change,
        change_mailbox=invitation.change_mailbox,
        pinned_to=invitation.principal_id,
        correlation=correlation_id(),
    )
    await asyncio.gather(
        app.stores.agenda.add(Work(WorkKind.REAP, registration.expires + OUTCOME_RETENTION, registration.id)),
        app.stores.agenda.add(Work(WorkKind.EXPIRE, registration.expires + EXPIRY_EVENT_DELAY, registration.id)),
    )
    await app.stores.registrations.insert(registration)
    await _supersede(app, registration.id, [one.account for one in invitation.wanted if one.account])
    log.info("registration started", extra={"registration": registration.id, "by": caller.id})
    url = Secret(f"{app.config.base_url}/accounts/new?ticket={ticket.reveal()}")
    return Started(url, registration.id, tuple(one.account for one in registration.mailboxes), registration.expires)


async def _existing_accounts(app: App, invitation: Invitation, faults: Mapping[str, str]) -> Sequence[Account | None]:
    async def existing(index: int, mailbox: InvitedMailbox) -> Account | None:
        if not mailbox.account or invitation.key(index, "account") in faults:
            return None
        found = await find_account(app, mailbox.account)
        return found.account.value if found else None

    return await asyncio.gather(*(existing(index, one) for index, one in enumerate(invitation.wanted)))


async def _chosen_app(app: App, invitation: Invitation, existing: Sequence[Account | None]) -> str | None:
    """The id of the requested OAuth app, of the accounts' app, or of the only one; empty when the person chooses.

    None when there is no usable app. Several mailboxes need an app with credentialReuse.
    """
    several = len(invitation.wanted) > 1

    def is_usable(oauth_app: OAuthApp) -> bool:
        return oauth_app.enabled and (oauth_app.credential_reuse or not several)

    enabled = [oauth_app.id for oauth_app in await app.oauth_apps.all() if is_usable(oauth_app)]
    if invitation.type:
        # A new app may not be in the cached list yet.
        chosen = await app.oauth_apps.get(invitation.type)
        return chosen.id if chosen is not None and is_usable(chosen) else None
    theirs = {account.app for account in existing if account is not None}
    if len(theirs) == 1 and theirs <= set(enabled):
        return theirs.pop()
    return "" if len(enabled) > 1 else next(iter(enabled), None)


async def _supersede(app: App, registration: str, accounts: Sequence[str]) -> None:
    """Replace every earlier link of the accounts, with one write for each account.

    The latest earlier link is also marked itself, which saves its readers a lookup and outlasts the newest link.
    """
    before = await asyncio.gather(*map(app.stores.registrations.newest, accounts))
    await asyncio.gather(*(app.stores.registrations.make_newest(NewestLink(one, registration)) for one in accounts))
    for earlier in {link.registration for link in before if link is not None}:
        outdated = await app.stores.registrations.get(earlier)
        if outdated is None or len(outdated.value.unsettled_mailboxes) == len(outdated.value.mailboxes):
            continue
        with suppress(StaleWrite):  # somebody uses it right now, and the next step finds out
            await app.stores.registrations.replace(outdated, outdated.value)
        log.info("registration replaced", extra={"registration": earlier, "by": registration})


def new_account_id(entropy: Entropy) -> str:
    """A random id for an account that was requested without one."""
    return "".join(ACCOUNT_ALPHABET[byte % len(ACCOUNT_ALPHABET)] for byte in entropy(16))


def _completed(invitation: Invitation, existing: Sequence[Account | None]) -> Invitation:
    """The invitation with what the form leaves out: that the account is a shared mailbox, which its page shows."""
    if invitation.mailboxes:
        return replace(invitation, delegated=True)
    one = existing[0]
    if one is None or not one.shared or invitation.delegated:
        return invitation
    return replace(invitation, email=one.email, delegated=True, named=False)


async def reauthorize_account(
    app: App, account: str, redirect_url: str | None, faults: Mapping[str, str], caller: Caller
) -> Started:
    """Make a link that repairs an account, for the same person and mailbox.

    Raises NotFound, InvalidInput, and Conflict when the account's OAuth app is gone or disabled.
    """
    found = await known_account(app, account)
    held = found.account.value
    oauth_app = await app.oauth_apps.get(held.app)
    if oauth_app is None or not oauth_app.enabled:
        raise Conflict(
            "The OAuth app that the account is bound through is gone or disabled. Enable it, or bind the account"
            ' through another one: POST /v1/authentication/form with its "type"'
        )
    invitation = Invitation(
        redirect_url=redirect_url,
        account=held.id,
        email=held.email,
        delegated=held.shared,
        type=held.app,
        principal_id=held.principal_id,
        named=False,
    )
    return await start_registration(app, invitation, faults, caller)


async def cancel_registration(app: App, registration: str, caller: Caller) -> PendingRegistration:
    """End a registration's link and every sign-in through it; accounts that are bound stay bound.

    Repeating it changes nothing. There is no event, because the caller knows. Raises NotFound and Conflict.
    """
    return await retry_on_conflict(partial(_cancel, app, registration, caller))


async def _cancel(app: App, registration: str, caller: Caller) -> PendingRegistration:
    stored = await app.stores.registrations.get(registration)
    if stored is None or not all(caller.can_access(mailbox.account) for mailbox in stored.value.mailboxes):
        raise NotFound("No such registration")
    link = stored.value
    if not link.unsettled_mailboxes:
        return link
    cancelled = link.cancelled([mailbox.account for mailbox in link.unsettled_mailboxes])
    await app.stores.registrations.replace(stored, cancelled)
    log.info("registration cancelled", extra={"registration": registration, "by": caller.id})
    for waiting in {mailbox.principal_id for mailbox in link.unsettled_mailboxes}:
        if waiting is not None:
            await app.stores.principals.forget_pending(waiting, registration)
    return cancelled
