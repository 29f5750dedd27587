"""Promise: a tick whose probes hang holds up nobody who signs in."""

import asyncio
from contextlib import suppress

import pytest

from shared.adapters.graph import MAX_CONNECTIONS
from shared.domain.clouds import Resource
from shared.domain.secret import Secret
from shared.ports import MailboxProbes, MailboxRefused, MailboxUnavailable
from tests.keys.conftest import Start, Vault

pytestmark = pytest.mark.usefixtures("fresh")


async def test_persons_probe_waits_for_none_of_the_timers(vault: Vault, start: Start) -> None:
    services = start()
    app = (await services.oauth_apps.all())[0]

    async def probe(probes: MailboxProbes) -> None:
        with suppress(MailboxRefused, MailboxUnavailable):
            await probes[Resource.GRAPH].open(app, Secret("token"), "support@contoso.example", shared=True)

    vault.do("outage", endpoint="graph", mode="hang")
    hung = [asyncio.create_task(probe(services.microsoft_for_timers.probes)) for _ in range(MAX_CONNECTIONS)]
    await asyncio.sleep(1)
    vault.do("outage", endpoint="graph", mode="none")

    await probe(services.microsoft.probes)

    assert not any(task.done() for task in hung)
    await asyncio.gather(*hung)
