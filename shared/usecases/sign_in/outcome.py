"""The outcome of a sign-in, as the person is told it, and grants that ride along in the page."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.account import Principal
from shared.domain.clouds import Resource
from shared.domain.invited_mailbox import MailboxResult
from shared.domain.registration import PendingRegistration
from shared.domain.secret import Secret
from shared.domain.tokens import TokenSet
from shared.ports import App, SignedIn
from shared.usecases.sign_in.link import LinkPage, seal_for_browser, unseal_from_browser

CARRIED_GRANT_LIFETIME = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Carried:
    """A form field that holds a grant, and the registration that it was sealed for."""

    registration: str
    field: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A carried grant, and the OAuth app that it came through; older pages name none."""

    signed_in: SignedIn
    app: str


async def carry_grant(
    app: App, purpose: str, asked: PendingRegistration, signed_in: SignedIn, cookie: Secret
) -> Carried:
    """A form field that carries the grant, sealed for this browser, registration and purpose.

    It holds the refresh token only; whoever opens it gets a new access token.
    """
    principal = signed_in.principal
    carried = {
        "tid": principal.tenant_id,
        "oid": principal.object_id,
        "name": principal.sign_in_name,
        "app": asked.app,
        "refresh": signed_in.tokens.refresh_token.reveal(),
        "scopes": signed_in.tokens.scopes,
        "resource": signed_in.tokens.resource,
        "until": (app.clock() + CARRIED_GRANT_LIFETIME).isoformat(),
    }
    return Carried(asked.id, await seal_for_browser(app, purpose, asked.id, cookie, Secret(json.dumps(carried))))


async def open_carried_grant(app: App, purpose: str, carried: Carried, cookie: Secret | None) -> Opened | None:
    """The grant, with an expired access token; None when the field is another browser's, or too old."""
    opened = await unseal_from_browser(app, purpose, carried.registration, cookie, carried.field)
    if opened is None:
        return None
    held, now = json.loads(opened.reveal()), app.clock()
    if now >= datetime.fromisoformat(held["until"]):
        return None
    resource = Resource(held.get("resource", Resource.GRAPH))
    tokens = TokenSet(Secret(held["refresh"]), Secret(""), now, tuple(held["scopes"]), resource)
    return Opened(SignedIn(Principal(held["tid"], held["oid"], held["name"]), tokens), held.get("app", ""))


@dataclass(frozen=True, slots=True)
class Tried:
    """The mailboxes were tried: each is bound, refused, or being checked again until `until`.

    `results` are those of this sign-in, by account. `again` starts over in this browser for what is refused; `keep`
    asks to keep checking what does not open yet, without a second sign-in.
    """

    registration: PendingRegistration
    results: Mapping[str, MailboxResult]
    again: LinkPage | None = None
    keep: Carried | None = None
    until: datetime | None = None
    principal: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The sign-in was refused before any mailbox was tried. Nothing was changed.

    `again` starts over in this browser while the link works; `keep` asks to keep checking, and `finish` to go on where
    storage failed, both without a second sign-in.
    """

    code: str
    registration: PendingRegistration | None = None
    again: LinkPage | None = None
    keep: Carried | None = None
    finish: Carried | None = None
    principal: str | None = None


type Outcome = Tried | Refused
