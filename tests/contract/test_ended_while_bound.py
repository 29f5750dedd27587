"""A link that ends while a mailbox is being bound through it binds nothing."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.caller import Caller, Scope
from shared.domain.oauth_app import OAuthApp
from shared.domain.registration import NewestLink
from shared.domain.tokens import TokenSet
from shared.ports import App, DirectoryEntry, SignedIn, Stored
from shared.usecases.accounts.read import find_account
from shared.usecases.sign_in.binding import bind_with_retries
from shared.usecases.sign_in.proof import AccessRefused, Proof
from shared.usecases.sign_in.start import cancel_registration
from shared.usecases.sign_in.write_binding import ProvenRequest
from tests.contract.records import grant, principal, registration

CALLER = Caller("administrator", "administrator", frozenset({Scope.ADMIN}))


class Gated:
    """The directory, which writes new entries once the gate is open."""

    def __init__(self, services: App) -> None:
        self.rows = services.stores.directory
        self.gate, self.claiming = asyncio.Event(), asyncio.Event()

    async def insert(self, value: DirectoryEntry) -> Stored[DirectoryEntry]:
        self.claiming.set()
        await self.gate.wait()
        return await self.rows.insert(value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rows, name)


async def proven_through_a_link(services: App) -> ProvenRequest:
    now, who = services.clock(), principal()
    link = registration(now)
    await services.stores.registrations.insert(link)
    app = await services.oauth_apps.get(link.app)
    assert isinstance(app, OAuthApp)
    held = grant(who, now)
    tokens = TokenSet(held.refresh_token, held.access_token, held.access_expires, held.scopes, held.resource)
    who = replace(who, tenant_id=min(app.tenants))
    proof = Proof("support@contoso.example", "Support", shared=True)
    return ProvenRequest(link.bind_request(link.mailboxes[0]), app, SignedIn(who, tokens), proof)


@pytest.mark.parametrize("ended", ["cancelled", "removed"])
async def test_link_ended_during_the_claim_binds_nothing(services: App, ended: str) -> None:
    proven, directory = await proven_through_a_link(services), Gated(services)
    request, code = proven.request, {"cancelled": "link_cancelled", "removed": "account_removed"}[ended]
    await services.stores.registrations.make_newest(NewestLink(request.account, request.by))
    gated = replace(services, stores=replace(services.stores, directory=directory))  # type: ignore[arg-type] # passes on
    binding = asyncio.create_task(bind_with_retries(gated, proven))
    await directory.claiming.wait()

    if ended == "cancelled":
        await cancel_registration(services, request.by, CALLER)
    else:
        await services.stores.registrations.end_links(request.account)
    directory.gate.set()

    with pytest.raises(AccessRefused, match=code):
        await binding
    assert None is await find_account(services, request.account)
    assert None is await services.stores.directory.get(request.account)
