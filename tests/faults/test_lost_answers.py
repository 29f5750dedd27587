"""Storage did the work but its answer was lost, or storage does not answer at all."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from infra.local.azurite import Azurite
from shared.bootstrap import build
from shared.domain.caller import Scope
from shared.domain.errors import StaleWrite, StorageUnavailable
from shared.domain.oauth_app import RegisteredApp
from shared.domain.secret import Secret
from shared.domain.webhook import Webhook
from shared.ports import App, DirectoryEntry, Insert, Replace
from shared.usecases.apps.catalogue import delete_oauth_app
from shared.usecases.callers.api_tokens import TokenWish, issue_token, revoke_token
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.events.webhook_care import remove_webhook
from shared.usecases.upkeep.statistics import read_health
from tests.conftest import MovedClock, settings_for, tables_of
from tests.contract.records import APP, account, grant, principal
from tests.faults.lossy_proxy import LossyProxy, lossy_proxy
from tests.patience import until


@pytest.fixture
async def lossy(azurite: Azurite) -> AsyncIterator[tuple[LossyProxy, App]]:
    port = urlsplit(azurite.tables_url).port or 0
    async with lossy_proxy(port) as (proxy, through):
        services = build(settings_for(azurite.connection_string.replace(f":{port}/", f":{through}/")))
        # The first write creates a table; the lost answer belongs to a later write.
        who = principal()
        await services.stores.directory.insert(DirectoryEntry(who.object_id, who.id, APP))
        await services.stores.principals.commit(who.id, [Insert(grant(who, services.clock()))])
        yield proxy, services
        await services.close()


async def test_entry_insert_that_conflicts_with_itself_succeeds(lossy: tuple[LossyProxy, App]) -> None:
    proxy, services = lossy
    who = principal()
    proxy.losing = 1

    (version,) = await services.stores.principals.commit(who.id, [Insert(grant(who, services.clock()))])

    assert 1 == len(proxy.lost)
    stored = await services.stores.principals.grant(who.id, APP)
    assert stored is not None
    assert version == stored.version


async def test_conditional_update_that_conflicts_with_itself_succeeds(lossy: tuple[LossyProxy, App]) -> None:
    proxy, services = lossy
    who = principal()
    first = grant(who, services.clock())
    (version,) = await services.stores.principals.commit(who.id, [Insert(first)])
    proxy.losing = 1

    await services.stores.principals.commit(who.id, [Replace(replace(first, bindings="second"), version)])

    assert 1 == len(proxy.lost)
    stored = await services.stores.principals.grant(who.id, APP)
    assert stored is not None
    assert "second" == stored.value.bindings


async def test_transaction_that_conflicts_with_itself_succeeds(lossy: tuple[LossyProxy, App]) -> None:
    proxy, services = lossy
    who = principal()
    proxy.losing = 1

    await services.stores.principals.commit(
        who.id, [Insert(grant(who, services.clock())), Insert(account(who, services.clock(), "one"))]
    )

    assert 1 == len(proxy.lost)
    assert await services.stores.principals.account(who.id, "one") is not None


async def test_lost_answer_hides_no_change_of_another_writer(lossy: tuple[LossyProxy, App], azurite: Azurite) -> None:
    proxy, services = lossy
    who, other = principal(), build(settings_for(azurite.connection_string))
    first = account(who, services.clock(), "one")
    inserts = [Insert(grant(who, services.clock())), Insert(first)]
    assert None is await other.stores.principals.account(who.id, "one")  # connects
    proxy.losing = 1
    proxy.delay = 1  # the repeated request is answered after the other writer's change
    commit = asyncio.create_task(services.stores.principals.commit(who.id, inserts))
    await until(lambda: proxy.lost)

    stored = await other.stores.principals.account(who.id, "one")
    assert stored is not None
    changed = Replace(replace(first, name="Changed by another"), stored.version)
    await other.stores.principals.commit(who.id, [changed])

    with pytest.raises(StaleWrite):
        await commit
    await other.close()


async def test_insert_that_conflicts_with_itself_succeeds(
    lossy: tuple[LossyProxy, App],
) -> None:
    proxy, services = lossy
    name = principal().object_id
    proxy.losing = 1

    await services.stores.directory.insert(DirectoryEntry(name, "me", APP))

    with pytest.raises(StaleWrite):
        await services.stores.directory.insert(DirectoryEntry(name, "somebody-else", APP))
    entry = await services.stores.directory.get(name)
    assert entry is not None
    assert "me" == entry.value.principal_id


async def test_removal_whose_answer_was_lost_succeeds(
    lossy: tuple[LossyProxy, App], caplog: pytest.LogCaptureFixture
) -> None:
    """The SDK repeats the deletion, and takes a row that is gone by then for deleted."""
    proxy, services = lossy
    issued = await issue_token(services, TokenWish("", frozenset({Scope.REGISTER})), {}, ADMINISTRATOR)
    assert await services.callers.api_tokens.get(issued.id) is not None  # caches it
    await services.callers.api_tokens.flush()
    webhook = Webhook(principal().object_id, "https://a.example", ("*",), services.clock(), "me", secret=Secret("x"))
    await services.stores.webhooks.insert(webhook)
    oauth_app = RegisteredApp(id=principal().object_id, name="", client_id="", authority="organizations", tenants=())
    await services.stores.oauth_apps.insert(oauth_app)

    with caplog.at_level(logging.INFO):
        proxy.losing, proxy.lossy_methods = 1, {b"DELETE"}
        assert issued.id == await revoke_token(services, issued.id, ADMINISTRATOR)
        proxy.losing = 1
        await remove_webhook(services, webhook.id, ADMINISTRATOR)
        proxy.losing = 1
        await delete_oauth_app(services, oauth_app.id, force=False)

    assert 3 == len(proxy.lost)
    assert None is await services.callers.api_tokens.get(issued.id)
    assert {"api token revoked", "webhook removed", "oauth app deleted"} <= {one.message for one in caplog.records}


async def test_storage_that_does_not_answer_is_said_to_be_unavailable(lossy: tuple[LossyProxy, App]) -> None:
    proxy, services = lossy
    proxy.refusing = True
    refused = build(settings_for(tables_of(services).tables.reveal()))

    with pytest.raises(StorageUnavailable):
        await refused.stores.directory.get("anything")
    with pytest.raises(StorageUnavailable):
        await refused.stores.directory.insert(DirectoryEntry("anything", "me", APP))
    await refused.close()


async def test_health_requests_share_a_check_while_storage_hangs(azurite: Azurite, clock: MovedClock) -> None:
    """Anybody can request the health. Checks one after the other would block requests of the host for minutes."""
    port = urlsplit(azurite.tables_url).port or 0
    async with lossy_proxy(port) as (proxy, through):
        settings = settings_for(azurite.connection_string.replace(f":{port}/", f":{through}/"))
        services = build(settings, clock)
        proxy.writes_left = 1
        proxy.over.set()  # nothing is answered
        asked = [asyncio.create_task(read_health(services)) for _ in range(8)]
        await until(lambda: proxy.requests)
        clock.forward(minutes=1)
        proxy.refusing = True
        for connection in proxy.connections:
            connection.cancel()

        seen = await asyncio.gather(*asked)

        assert [(False, "storage_unavailable")] == list({(one.success, one.storage) for one in seen})
        assert 1 == len({id(one) for one in seen})
        await services.close()
