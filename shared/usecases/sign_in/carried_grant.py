"""A grant that nobody has stored, carried by the page that the person looks at."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.clouds import Resource
from shared.domain.principal import Principal, TokenSet
from shared.domain.registration import PendingRegistration
from shared.domain.secret import Secret
from shared.ports import Clock, SignedIn
from shared.usecases import use_case
from shared.usecases.sign_in.browser_binding import BrowserBinding

LASTS = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Carried:
    """A form field that holds a grant, and the registration that it was sealed for."""

    registration: str
    field: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A carried grant, and the OAuth app that it came through; pages from before there were several name none."""

    signed_in: SignedIn
    app: str


@use_case
class CarriedGrant:
    """The grant rides, sealed for the person's browser and one registration, in a form of the page.

    Only the refresh token does: whoever takes it up gets an access token of their own.
    """

    binding: BrowserBinding
    clock: Clock

    async def seal(self, purpose: str, asked: PendingRegistration, signed_in: SignedIn, cookie: Secret) -> Carried:
        """The form field; what was sealed for one purpose does not open for another."""
        principal = signed_in.principal
        carried = {
            "tid": principal.tenant_id,
            "oid": principal.object_id,
            "name": principal.sign_in_name,
            "app": asked.app,
            "refresh": signed_in.tokens.refresh_token.reveal(),
            "scopes": signed_in.tokens.scopes,
            "resource": signed_in.tokens.resource,
            "until": (self.clock() + LASTS).isoformat(),
        }
        return Carried(asked.id, await self.binding.seal(purpose, asked.id, cookie, Secret(json.dumps(carried))))

    async def open(self, purpose: str, carried: Carried, cookie: Secret | None) -> Opened | None:
        """The grant, its access token already expired; None when it is not this browser's, or too old."""
        opened = await self.binding.unseal(purpose, carried.registration, cookie, carried.field)
        if opened is None:
            return None
        held, now = json.loads(opened.reveal()), self.clock()
        if now >= datetime.fromisoformat(held["until"]):
            return None
        resource = Resource(held.get("resource", Resource.GRAPH))
        tokens = TokenSet(Secret(held["refresh"]), Secret(""), now, tuple(held["scopes"]), resource)
        return Opened(SignedIn(Principal(held["tid"], held["oid"], held["name"]), tokens), held.get("app", ""))
