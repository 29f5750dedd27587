"""Start a registration and make its link, reauthorize an account, and cancel a registration."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from shared.domain.account import Account
from shared.domain.audit import correlation_id
from shared.domain.caller import Caller
from shared.domain.errors import Conflict, InvalidInput, NotFound, StaleWrite, Unavailable
from shared.domain.formats import fingerprint, random_token
from shared.domain.invited_mailbox import InvitedMailbox
from shared.domain.oauth_app import OAuthApp
from shared.domain.registration import NewestLink, PendingRegistration, expiry_work
from shared.domain.secret import Secret
from shared.domain.work import Work
from shared.ports import App, Entropy, retry_on_conflict
from shared.usecases.accounts.read import find_account, known_account
from shared.usecases.sign_in.invitation import Invitation, invitation_faults

log = logging.getLogger(__name__)

ACCOUNT_ID_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


class Started(NamedTuple):
    """The link, and the id of the registration, with which its status is read.

    `delegated` says whether it binds shared mailboxes, or else the own mailbox of the person who signs in.
    """

    url: Secret
    registration: str
    accounts: tuple[str, ...]
    expires: datetime
    delegated: bool


async def start_registration(app: App, invitation: Invitation, faults: Mapping[str, str], caller: Caller) -> Started:
    """Store a registration and make its link. It replaces every earlier link of its accounts.

    Every caller that may register an account can request a link again, so a request reserves no account id. A caller
    that is bound to certain accounts must name each account. `faults` are those of the parsed form. Raises
    InvalidInput with all faults, and Forbidden for an account that the caller may not access.
    """
    requested_ids = [mailbox.account for mailbox in invitation.requested_mailboxes if mailbox.account]
    for account_id in requested_ids:
        caller.require_account(account_id)
    ticket, now = Secret(random_token(app.entropy)), app.clock()
    # Its end is stored before the registration and while the accounts are read, unless the form has faults already.
    ends = [] if faults else [expiry_work(fingerprint(ticket), now + app.config.link_lifetime)]
    existing, newest_links, _, _ = await asyncio.gather(
        _existing_accounts(app, invitation, faults),
        asyncio.gather(*map(app.stores.registrations.newest, [] if faults else requested_ids)),
        app.oauth_apps.all(),  # `_choose_app` finds it in the cache
        asyncio.gather(*map(app.stores.agenda.add, ends)),
    )
    app_id = await _choose_app(app, invitation, existing)
    faults = invitation_faults(invitation, existing, caller, app_id, app.config.redirect_origins) | dict(faults)
    if faults or app_id is None or invitation.redirect_url is None:
        await _take_back(app, ends)
        raise InvalidInput(faults)
    registration = _new_registration(app, _with_kind(invitation, existing), caller, ticket, app_id, now)
    await app.stores.registrations.insert(registration)
    await _replace_earlier_links(app, registration.id, requested_ids, newest_links)
    log.info("registration started", extra={"registration": registration.id, "by": caller.id})
    url = Secret(f"{app.config.base_url}/accounts/new?ticket={ticket.reveal()}")
    account_ids = tuple(mailbox.account for mailbox in registration.mailboxes)
    return Started(url, registration.id, account_ids, registration.expires, registration.delegated)


async def _take_back(app: App, ends: Sequence[Work]) -> None:
    """Remove the work of a registration that is not stored. Work that stays finds no registration, and ends."""
    if ends:
        with suppress(Unavailable):
            await app.stores.agenda.remove(ends)


def _new_registration(
    app: App, invitation: Invitation, caller: Caller, ticket: Secret, app_id: str, now: datetime
) -> PendingRegistration:
    return PendingRegistration(
        id=fingerprint(ticket),
        mailboxes=tuple(
            replace(mailbox, account=mailbox.account or new_account_id(app.entropy))
            for mailbox in invitation.requested_mailboxes
        ),
        redirect_url=invitation.redirect_url or "",
        app=app_id,
        requested_by=caller.id,
        requester=caller.name,
        created=now,
        expires=now + app.config.link_lifetime,
        expected_email=invitation.expected_email,
        expected_tenant=invitation.expected_tenant,
        delegated=invitation.delegated,
        allow_principal_change=invitation.allow_principal_change,
        change_mailbox=invitation.change_mailbox,
        hand_out=invitation.hand_out is not False,
        pinned_to=invitation.principal_id,
        correlation=correlation_id(),
    )


async def _existing_accounts(app: App, invitation: Invitation, faults: Mapping[str, str]) -> Sequence[Account | None]:
    async def existing_account(index: int, mailbox: InvitedMailbox) -> Account | None:
        if not mailbox.account or invitation.field_name(index, "account") in faults:
            return None
        found = await find_account(app, mailbox.account)
        return found.account.value if found else None

    return await asyncio.gather(
        *(existing_account(index, mailbox) for index, mailbox in enumerate(invitation.requested_mailboxes))
    )


async def _choose_app(app: App, invitation: Invitation, existing: Sequence[Account | None]) -> str | None:
    """The id of the requested OAuth app, of the accounts' app, or of the only one; empty if the person chooses.

    None if there is no usable app. Several mailboxes need an app with credentialReuse.
    """
    has_several_mailboxes = len(invitation.requested_mailboxes) > 1

    def is_usable(oauth_app: OAuthApp) -> bool:
        return oauth_app.enabled and (oauth_app.credential_reuse or not has_several_mailboxes)

    usable_ids = [oauth_app.id for oauth_app in await app.oauth_apps.all() if is_usable(oauth_app)]
    if invitation.type:
        # A new app may not be in the cached list yet.
        requested_app = await app.oauth_apps.get(invitation.type)
        return requested_app.id if requested_app is not None and is_usable(requested_app) else None
    current_ids = {account.app for account in existing if account is not None}
    if len(current_ids) == 1 and current_ids <= set(usable_ids):
        return current_ids.pop()
    return "" if len(usable_ids) > 1 else next(iter(usable_ids), None)


async def _replace_earlier_links(
    app: App, registration_id: str, account_ids: Sequence[str], newest_links: Sequence[NewestLink | None]
) -> None:
    """Replace every earlier link of the accounts, with one write for each account.

    The latest earlier registration is marked too. That saves a lookup when it is read, and outlasts the newest link.
    """
    await asyncio.gather(
        *(app.stores.registrations.make_newest(NewestLink(account_id, registration_id)) for account_id in account_ids)
    )
    for earlier_id in {link.registration for link in newest_links if link is not None}:
        earlier = await app.stores.registrations.get(earlier_id)
        if earlier is None or len(earlier.value.unsettled_mailboxes) == len(earlier.value.mailboxes):
            continue
        with suppress(StaleWrite):  # the link is in use right now, and its next step notices the newer link
            await app.stores.registrations.replace(earlier, earlier.value)
        log.info("registration replaced", extra={"registration": earlier_id, "by": registration_id})


def new_account_id(entropy: Entropy) -> str:
    """A random id for an account that was requested without one."""
    return "".join(ACCOUNT_ID_ALPHABET[byte % len(ACCOUNT_ID_ALPHABET)] for byte in entropy(16))


def _with_kind(invitation: Invitation, existing: Sequence[Account | None]) -> Invitation:
    """Add that the existing account is a shared mailbox, if the form omits it; the link's page shows the mailbox."""
    if invitation.mailboxes:
        return replace(invitation, delegated=True)
    account = existing[0]
    if account is None or not account.shared or invitation.delegated:
        return invitation
    return replace(invitation, email=account.email, delegated=True, named=False)


async def reauthorize_account(
    app: App,
    account_id: str,
    redirect_url: str | None,
    faults: Mapping[str, str],
    caller: Caller,
    *,
    allow_principal_change: bool = False,
) -> Started:
    """Make a link that repairs an account, for the same person and mailbox.

    `allow_principal_change` lets another person sign in, for a shared mailbox whose person is gone. Raises NotFound,
    InvalidInput, and Conflict when the account's OAuth app is gone or disabled.
    """
    account = (await known_account(app, account_id)).account.value
    oauth_app = await app.oauth_apps.get(account.app)
    if oauth_app is None or not oauth_app.enabled:
        raise Conflict(
            "The account's OAuth app was deleted or is disabled. Enable it, or bind the account"
            ' through another one: POST /v1/authentication/form with its "type"'
        )
    invitation = Invitation(
        redirect_url=redirect_url,
        account=account.id,
        email=account.email,
        delegated=account.shared,
        type=account.app,
        principal_id=None if allow_principal_change else account.principal_id,
        allow_principal_change=allow_principal_change,
        named=False,
    )
    if allow_principal_change and not account.shared:
        reason = "must be false or absent for a person's own mailbox: only that person can authorize it"
        faults = {**faults, "allowPrincipalChange": f'"allowPrincipalChange" {reason}'}
    return await start_registration(app, invitation, faults, caller)


async def cancel_registration(app: App, registration_id: str, caller: Caller) -> PendingRegistration:
    """End a registration's link and every sign-in through it. Accounts that are bound stay bound.

    Repeating it changes nothing. There is no event, because the caller knows. Raises NotFound and Conflict.
    """

    async def attempt() -> PendingRegistration:
        stored = await app.stores.registrations.get(registration_id)
        if stored is None or not all(caller.can_access(mailbox.account) for mailbox in stored.value.mailboxes):
            raise NotFound("No such registration")
        open_mailboxes = stored.value.unsettled_mailboxes
        if not open_mailboxes:
            return stored.value
        cancelled = stored.value.cancelled([mailbox.account for mailbox in open_mailboxes])
        await app.stores.registrations.replace(stored, cancelled)
        log.info("registration cancelled", extra={"registration": registration_id, "by": caller.id})
        for principal_id in filter(None, {mailbox.principal_id for mailbox in open_mailboxes}):
            await app.stores.principals.forget_pending(principal_id, registration_id)
        return cancelled

    return await retry_on_conflict(attempt)
