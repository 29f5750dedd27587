"""Promises for when the vault does not answer: nobody who can go on waits for it.

"While the vault hangs" is relative: what is promised ends before a call to the vault that was begun earlier.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import pytest

from infra.local.visitor import Visitor
from shared.adapters import key_wrapping
from shared.domain.errors import KeyUnavailable
from shared.domain.secret import Secret
from shared.ports import App
from shared.usecases.apps.catalogue import register_oauth_app
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.events.webhooks import Subscription, subscribe
from shared.usecases.sign_in.complete import finish_sign_in
from shared.usecases.sign_in.outcome import Completed, Refused
from shared.usecases.tokens.hand_out import hand_out
from shared.usecases.tokens.probe import reconnect_account
from shared.usecases.upkeep.tick import run_tick
from tests.conftest import MovedClock, key_wrapping_of, unguarded
from tests.keys.conftest import Start, Vault
from tests.keys.people import begin, finish, person, sign_in
from tests.keys.test_key_vault import in_vault

pytestmark = pytest.mark.usefixtures("fresh")


async def while_it_hangs[T](services: App, act: Callable[[], Awaitable[T]]) -> T:
    """The result of something that must end before a call to the vault that was begun before it."""
    hung = asyncio.create_task(key_wrapping_of(services).newest())
    await asyncio.sleep(0)
    try:
        result = await act()
        assert not hung.done()
    finally:
        hung.cancel()
        with suppress(asyncio.CancelledError, KeyUnavailable):
            await hung
    return result


async def test_sealing_continues_while_the_vault_hangs(vault: Vault, start: Start, clock: MovedClock) -> None:
    services = in_vault(start, vault.make())
    before = await services.sealing.sealer.seal("row", Secret("x"))
    vault.do("outage", endpoint="vault", mode="hang")
    clock.forward(days=91)

    for _ in range(3):
        sealed = await while_it_hangs(
            services, lambda: asyncio.gather(*(services.sealing.sealer.seal("row", Secret("x")) for _ in range(50)))
        )
        assert {before.split(".")[1]} == {text.split(".")[1] for text in sealed}
        clock.forward(minutes=2)


async def test_everything_continues_while_the_vault_hangs(vault: Vault, start: Start, clock: MovedClock) -> None:
    services, ca_file = in_vault(start, vault.make(), MAILBIND_DATA_KEY_DAYS="1"), vault.ready["caFile"]
    account = await sign_in(services, ca_file, person(vault))
    clock.forward(hours=23, minutes=30)
    with Visitor(ca_file) as visitor:
        begun, who = await begin(services, visitor), person(vault)
        vault.do("outage", endpoint="vault", mode="hang")
        clock.forward(minutes=35)
        vault.do("clock", advanceSeconds=24 * 3600 + 300)

        finished = await while_it_hangs(services, lambda: finish(services, visitor, begun, who))
        clock.forward(minutes=10)
        renewed = await while_it_hangs(services, lambda: reconnect_account(services, account))
        clock.forward(minutes=10)
        tick = await while_it_hangs(services, partial(run_tick, services))
        clock.forward(hours=3)
        handed_out = await while_it_hangs(services, lambda: hand_out(services, account))

    assert isinstance(finished, Completed)
    assert renewed is not None
    assert tick.seconds >= 0
    assert not handed_out.cached


async def test_due_data_key_is_made_once_the_vault_answers(
    vault: Vault, start: Start, clock: MovedClock, caplog: pytest.LogCaptureFixture
) -> None:
    """And a vault that is away is asked for it once in some minutes, not by everybody who seals."""
    services = in_vault(start, vault.make())
    await services.sealing.sealer.seal("row", Secret("x"))
    vault.do("outage", endpoint="vault", mode="503")
    clock.forward(days=91)
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            await services.sealing.sealer.seal("row", Secret("x"))
            await services.sealing.data_keys.wait_until_idle()
            clock.forward(seconds=61)
    warnings = [each.message for each in caplog.records if each.levelno == logging.WARNING]
    assert ["data key not made"] == [message for message in warnings if message.startswith("data key")]
    vault.do("outage", endpoint="vault", mode="none")
    clock.forward(minutes=10)

    await services.sealing.sealer.seal("row", Secret("x"))
    await services.sealing.data_keys.wait_until_idle()

    newest = (await services.sealing.data_keys.listed())[-1]
    assert 2 == len(await services.sealing.data_keys.listed())
    assert newest.id == (await services.sealing.sealer.seal("row", Secret("x"))).split(".")[1]


async def test_newer_data_key_that_does_not_open_yet_holds_up_nobody(
    vault: Vault, start: Start, clock: MovedClock
) -> None:
    key = vault.make()
    one, two = in_vault(start, key), in_vault(start, key)
    before = await two.sealing.sealer.seal("row", Secret("x"))
    newer = await one.sealing.data_keys.make()
    vault.do("outage", endpoint="vault", mode="hang")
    clock.forward(minutes=2)

    sealed = await while_it_hangs(two, lambda: two.sealing.sealer.seal("row", Secret("x")))

    assert before.split(".")[1] == sealed.split(".")[1]
    vault.do("outage", endpoint="vault", mode="none")
    await two.sealing.data_keys.wait_until_idle()
    clock.forward(minutes=2)
    assert newer.id == (await two.sealing.sealer.seal("row", Secret("x"))).split(".")[1]


async def test_unwrap_that_hangs_holds_up_no_other_data_key(vault: Vault, start: Start) -> None:
    key = vault.make()
    in_the_vault = await in_vault(start, key).sealing.sealer.seal("row", Secret("old"))
    await start(MAILBIND_KEY_VAULT_KEY_PREVIOUS=key).sealing.data_keys.make()
    local = await start(MAILBIND_KEY_VAULT_KEY_PREVIOUS=key).sealing.sealer.seal("row", Secret("new"))
    services = start(MAILBIND_KEY_VAULT_KEY_PREVIOUS=key)
    vault.do("outage", endpoint="vault", mode="hang")
    waiting = asyncio.create_task(services.sealing.sealer.unseal("row", in_the_vault))
    await asyncio.sleep(0.2)

    assert Secret("new") == await services.sealing.sealer.unseal("row", local)
    assert Secret("x") == await services.sealing.sealer.unseal(
        "row", await services.sealing.sealer.seal("row", Secret("x"))
    )

    assert not waiting.done()
    vault.do("outage", endpoint="vault", mode="none")
    with suppress(KeyUnavailable):
        await waiting


async def test_shared_unwrap_survives_a_cancelled_caller(vault: Vault, start: Start) -> None:
    key = vault.make()
    sealed = await in_vault(start, key).sealing.sealer.seal("row", Secret("token"))
    services, before = in_vault(start, key), len(vault.events("unwrapped"))
    waiting = [asyncio.create_task(services.sealing.sealer.unseal("row", sealed)) for _ in range(40)]
    await asyncio.sleep(0.01)
    waiting[0].cancel()

    opened = await asyncio.gather(*waiting[1:])

    assert {Secret("token")} == set(opened)
    assert before + 1 == len(vault.events("unwrapped"))


async def test_failed_unwrap_is_retried_in_the_background(vault: Vault, start: Start, clock: MovedClock) -> None:
    key = vault.make()
    sealed = await in_vault(start, key).sealing.sealer.seal("row", Secret("token"))
    services = in_vault(start, key)
    vault.do("outage", endpoint="vault", mode="503")
    with pytest.raises(KeyUnavailable):
        await services.sealing.sealer.unseal("row", sealed)
    vault.do("outage", endpoint="vault", mode="hang")
    clock.forward(seconds=6)

    async def told() -> None:
        with pytest.raises(KeyUnavailable):
            await services.sealing.sealer.unseal("row", sealed)

    await while_it_hangs(services, told)
    vault.do("outage", endpoint="vault", mode="none")
    await services.sealing.data_keys.wait_until_idle()
    clock.forward(minutes=2)
    assert Secret("token") == await services.sealing.sealer.unseal("row", sealed)


async def test_record_without_its_data_key_blocks_no_other(
    vault: Vault, start: Start, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An OAuth app and a webhook under a data key of the vault, beside an app of the settings and a newer key."""
    monkeypatch.setattr(key_wrapping, "VAULT_TIMEOUT_SECONDS", 1.0)
    key, ready = vault.make(), vault.ready
    before = in_vault(start, key, MAILBIND_WEBHOOKS_LOOPBACK="true")
    account = await sign_in(before, ready["caFile"], person(vault))
    told = {"name": "Other", "client_id": ready["clientId"], "authority": ready["tenantId"]}
    registered = await register_oauth_app(before, {**told, "client_secret": Secret(ready["clientSecret"])}, {})
    target = Subscription(Secret("https://127.0.0.1/hook"), ("*",), verify=False)
    await subscribe(before, target, {}, ADMINISTRATOR)
    moved = start(MAILBIND_KEY_VAULT_KEY_PREVIOUS=key)
    await moved.sealing.data_keys.make()
    await reconnect_account(moved, account)
    services = start(MAILBIND_KEY_VAULT_KEY_PREVIOUS=key)
    vault.do("outage", endpoint="vault", mode="hang")

    assert await reconnect_account(services, account)
    (webhook,) = await services.stores.webhooks.all()
    assert not webhook.has_lost_secrets
    app = await services.oauth_apps.get(registered)
    assert app is not None
    with pytest.raises(KeyUnavailable):
        await unguarded(services).authenticate(app)
    with pytest.raises(KeyUnavailable):
        webhook.url.reveal()

    vault.do("outage", endpoint="vault", mode="none")
    await services.sealing.data_keys.wait_until_idle()
    clock.forward(minutes=2)
    again = await services.oauth_apps.get(registered)
    assert again is not None
    await unguarded(services).authenticate(again)


async def test_sign_in_can_be_finished_after_a_vault_outage(
    vault: Vault, start: Start, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person's earlier grant is under a data key that the vault has not unwrapped for this process yet."""
    monkeypatch.setattr(key_wrapping, "VAULT_TIMEOUT_SECONDS", 1.0)
    key, who, ca_file = vault.make(), person(vault), vault.ready["caFile"]
    await sign_in(in_vault(start, key), ca_file, who)
    settings = {"MAILBIND_KEY_VAULT_KEY_PREVIOUS": key, "MAILBIND_OAUTH_CREDENTIAL_REUSE": "true"}
    await start(**settings).sealing.data_keys.make()
    services = start(**settings)
    vault.do("outage", endpoint="vault", mode="hang")

    with Visitor(ca_file) as visitor:
        begun = await begin(services, visitor)
        interrupted = await finish(services, visitor, begun, who)
    assert isinstance(interrupted, Refused)
    assert ("key_vault_unavailable", True) == (interrupted.code, interrupted.finish is not None)
    assert interrupted.finish is not None

    vault.do("outage", endpoint="vault", mode="none")
    await services.sealing.data_keys.wait_until_idle()
    clock.forward(minutes=2)
    assert isinstance(await finish_sign_in(services, interrupted.finish, begun.cookie), Completed)


@pytest.mark.parametrize("endpoint", ["vault", "identity"])
async def test_first_data_key_waits_for_the_vault_until_a_deadline(
    vault: Vault, start: Start, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_wrapping, "VAULT_TIMEOUT_SECONDS", 2.0)
    services = in_vault(start, vault.make())
    vault.do("outage", endpoint=endpoint, mode="hang")

    answers = await asyncio.gather(
        *(services.sealing.sealer.seal("row", Secret("x")) for _ in range(10)), return_exceptions=True
    )

    assert {"key_vault_unavailable"} == {answer.code for answer in answers if isinstance(answer, KeyUnavailable)}
    assert 10 == sum(isinstance(answer, KeyUnavailable) for answer in answers)


async def test_process_ends_while_it_makes_a_data_key(vault: Vault, start: Start, clock: MovedClock) -> None:
    services = in_vault(start, vault.make())
    await services.sealing.sealer.seal("row", Secret("x"))
    vault.do("outage", endpoint="vault", mode="hang")
    clock.forward(days=91)
    others = asyncio.all_tasks()
    await services.sealing.sealer.seal("row", Secret("x"))
    making = asyncio.all_tasks() - others
    assert 1 == len(making)

    await services.close()

    assert all(task.cancelled() for task in making)
