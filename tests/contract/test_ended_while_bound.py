"""Promises of links that are ended while somebody's mailbox is being bound through them."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.caller import Caller, Scope
from shared.domain.oauth_app import OAuthApp
from shared.domain.principal import TokenSet
from shared.domain.registration import NewestLink
from shared.ports import DirectoryEntry, SignedIn, Stored
from shared.services import Services
from shared.usecases.grants.prove_access import AccessRefused, Proof
from shared.usecases.sign_in.write_binding import Proven
from tests.contract.records import grant, principal, registration

CALLER = Caller("administrator", "administrator", frozenset({Scope.ADMIN}))


class Gated:
    """The directory, whose new entries are written when the gate is open."""

    def __init__(self, services: Services) -> None:
        self.rows = services.directory
        self.gate, self.claiming = asyncio.Event(), asyncio.Event()

    async def insert(self, value: DirectoryEntry) -> Stored[DirectoryEntry]:
        self.claiming.set()
        await self.gate.wait()
        return await self.rows.insert(value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rows, name)


async def proven_through_a_link(services: Services) -> Proven:
    now, who = services.clock(), principal()
    link = registration(now)
    await services.registrations.insert(link)
    app = await services.apps.get(link.app)
    assert isinstance(app, OAuthApp)
    held = grant(who, now)
    tokens = TokenSet(held.refresh_token, held.access_token, held.access_expires, held.scopes, held.resource)
    who = replace(who, tenant_id=min(app.tenants))
    proof = Proof("support@contoso.example", "Support", shared=True)
    return Proven(link.bind_request(link.mailboxes[0]), app, SignedIn(who, tokens), proof)


@pytest.mark.parametrize("ended", ["cancelled", "removed"])
async def test_a_link_that_is_ended_while_its_account_is_claimed_binds_nothing(services: Services, ended: str) -> None:
    proven, directory = await proven_through_a_link(services), Gated(services)
    request, code = proven.request, {"cancelled": "link_cancelled", "removed": "account_removed"}[ended]
    await services.registrations.make_newest(NewestLink(request.account, request.by))
    claim = replace(services.claim_account, directory=directory)  # type: ignore[arg-type] # passes on
    binding = asyncio.create_task(replace(services.bind_mailbox, claim=claim)(proven))
    await directory.claiming.wait()

    if ended == "cancelled":
        await services.cancel_registration(request.by, CALLER)
    else:
        await services.registrations.end_links(request.account)
    directory.gate.set()

    with pytest.raises(AccessRefused, match=code):
        await binding
    assert None is await services.find(request.account)
    assert None is await services.directory.get(request.account)
