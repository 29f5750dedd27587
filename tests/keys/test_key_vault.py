"""Promises of a key-encryption key in Key Vault: the real SDK and managed identity, against the local tenant."""

import asyncio
import base64
import logging
import socket
import subprocess
import sys
from contextlib import nullcontext

import pytest

from infra.local.parts import ROOT
from shared.adapters import key_wrapping
from shared.adapters.connection_faults import ConnectionFaults
from shared.adapters.key_wrapping import VaultKey
from shared.domain.errors import KeyRefused, KeyUnavailable, SealBroken
from shared.domain.secret import Secret
from shared.ports import App
from tests.conftest import MovedClock, key_wrapping_of, settings_for
from tests.keys.conftest import IDENTITY, STRANGER, Start, Vault

pytestmark = pytest.mark.usefixtures("fresh")
LOCAL_KEY = base64.b64encode(bytes(range(32))).decode()
OTHER_KEY = base64.b64encode(bytes(range(1, 33))).decode()


def in_vault(start: Start, key: str, **changes: str) -> App:
    """A process whose key-encryption key is in the vault, and there alone."""
    return start(MAILBIND_KEY_VAULT_KEY=key, **{"MAILBIND_SEALING_KEY": "", **changes})


async def test_vault_wrapped_data_key_opens_in_another_process(vault: Vault, start: Start) -> None:
    key = vault.make()
    sealed = await in_vault(start, key).sealing.sealer.seal("row", Secret("token"))
    two = in_vault(start, key)

    assert Secret("token") == await two.sealing.sealer.unseal("row", sealed)
    (data_key,) = await two.sealing.data_keys.listed()
    assert data_key.wrapped_by.startswith(f"{key}/")
    assert 32 == len(data_key.wrapped_by.removeprefix(f"{key}/"))


async def test_process_asks_the_vault_once_for_each_data_key(vault: Vault, start: Start) -> None:
    key = vault.make()
    sealed = await in_vault(start, key).sealing.sealer.seal("row", Secret("token"))
    two, before = in_vault(start, key), len(vault.events("unwrapped"))

    await asyncio.gather(*(two.sealing.sealer.unseal("row", sealed) for _ in range(50)))
    await asyncio.gather(*(two.sealing.sealer.seal("row", Secret("x")) for _ in range(50)))

    assert before + 1 == len(vault.events("unwrapped"))


async def test_older_version_goes_on_opening_what_it_wrapped(vault: Vault, start: Start) -> None:
    key = vault.make()
    one = in_vault(start, key)
    sealed = await one.sealing.sealer.seal("row", Secret("token"))
    vault.make(key.rpartition("/")[2])
    await one.sealing.data_keys.make()
    two = in_vault(start, key)

    assert Secret("token") == await two.sealing.sealer.unseal("row", sealed)
    first, second = await two.sealing.data_keys.listed()
    assert first.wrapped_by != second.wrapped_by


async def test_key_version_of_the_setting_is_used_for_wrapping(vault: Vault, start: Start) -> None:
    key = vault.make()
    pinned = await key_wrapping_of(in_vault(start, key)).newest()
    vault.make(key.rpartition("/")[2])
    services = in_vault(start, pinned)
    await services.sealing.sealer.seal("row", Secret("token"))

    (data_key,) = await services.sealing.data_keys.listed()
    assert pinned == data_key.wrapped_by


@pytest.mark.parametrize("outage", ["503", "html", "reset", "hang"])
async def test_vault_outage_differs_from_a_refusal(
    vault: Vault, start: Start, outage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And callers are told to come back, in the words of a 503."""
    monkeypatch.setattr(key_wrapping, "VAULT_TIMEOUT_SECONDS", 2.0)
    key = vault.make()
    sealed = await in_vault(start, key).sealing.sealer.seal("row", Secret("token"))
    vault.do("outage", endpoint="vault", mode=outage)

    with pytest.raises(KeyUnavailable) as unavailable:
        await in_vault(start, key).sealing.sealer.unseal("row", sealed)
    assert "key_vault_unavailable" == unavailable.value.code


async def test_what_is_open_already_goes_on_while_the_vault_is_away(
    vault: Vault, start: Start, clock: MovedClock
) -> None:
    services = in_vault(start, vault.make())
    sealed = await services.sealing.sealer.seal("row", Secret("token"))
    vault.do("outage", endpoint="vault", mode="503")
    clock.forward(minutes=5)

    assert Secret("token") == await services.sealing.sealer.unseal("row", sealed)
    again = await services.sealing.sealer.seal("row", Secret("newer"))
    assert Secret("newer") == await services.sealing.sealer.unseal("row", again)


async def test_waiting_callers_share_one_request_to_the_vault(
    vault: Vault, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    key = vault.make()
    sealed = await in_vault(start, key).sealing.sealer.seal("row", Secret("token"))
    vault.do("outage", endpoint="vault", mode="503")
    services = in_vault(start, key)

    with caplog.at_level(logging.WARNING):
        waiting = (services.sealing.sealer.unseal("row", sealed) for _ in range(40))
        answers = await asyncio.gather(*waiting, return_exceptions=True)

    assert {KeyUnavailable} == {type(answer) for answer in answers}
    assert 1 == len([record for record in caplog.records if record.message.startswith("key vault")])


async def test_disabled_or_deleted_key_is_not_used(vault: Vault, start: Start, clock: MovedClock) -> None:
    """The SDK would wrap with the public half of a disabled key, and nobody could open it again."""
    key = vault.make()
    name = key.rpartition("/")[2]
    services = in_vault(start, key)
    sealed = await services.sealing.sealer.seal("row", Secret("token"))
    version = (await key_wrapping_of(services).newest()).rpartition("/")[2]
    vault.do("vault-key", name=name, change="disable", version=version)

    with pytest.raises(KeyRefused):
        await services.sealing.data_keys.make()
    with pytest.raises(KeyRefused):
        await in_vault(start, key).sealing.sealer.unseal("row", sealed)
    assert 1 == len(await services.sealing.data_keys.listed())
    vault.do("vault-key", name=name, change="enable", version=version)
    assert Secret("token") == await in_vault(start, key).sealing.sealer.unseal("row", sealed)
    vault.do("vault-key", name=name, change="destroy")
    with pytest.raises(KeyRefused):
        await in_vault(start, key).sealing.sealer.unseal("row", sealed)
    clock.forward(minutes=2)
    assert Secret("token") == await services.sealing.sealer.unseal("row", sealed)


async def test_identity_without_the_role_is_refused(vault: Vault, start: Start) -> None:
    key = vault.make()

    with pytest.raises(KeyRefused):
        await in_vault(start, key, AZURE_CLIENT_ID=STRANGER).sealing.sealer.seal("row", Secret("token"))


async def test_managed_identity_that_does_not_answer_is_an_outage(vault: Vault, start: Start) -> None:
    key = vault.make()
    vault.do("outage", endpoint="identity", mode="503")

    with pytest.raises(KeyUnavailable) as unavailable:
        await in_vault(start, key).sealing.sealer.seal("row", Secret("token"))
    assert "key_vault_unavailable" == unavailable.value.code


async def test_secrets_move_from_a_local_key_to_the_vault_and_back(vault: Vault, start: Start) -> None:
    """While both are set, what the earlier key wrapped opens; re-wrapping frees it, and no sealed value changes."""
    sealed = await start().sealing.sealer.seal("row", Secret("token"))
    key = vault.make()
    moving = start(MAILBIND_KEY_VAULT_KEY=key)
    assert Secret("token") == await moving.sealing.sealer.unseal("row", sealed)

    assert (1, 0) == await moving.sealing.data_keys.rewrap()

    moved = in_vault(start, key)
    assert Secret("token") == await moved.sealing.sealer.unseal("row", sealed)
    back = start(MAILBIND_KEY_VAULT_KEY_PREVIOUS=key)
    assert (1, 0) == await back.sealing.data_keys.rewrap()
    assert Secret("token") == await start().sealing.sealer.unseal("row", sealed)
    with pytest.raises(SealBroken):
        await in_vault(start, key).sealing.sealer.unseal("row", sealed)


async def test_new_version_in_the_vault_takes_over_by_re_wrapping(vault: Vault, start: Start) -> None:
    key = vault.make()
    name = key.rpartition("/")[2]
    services = in_vault(start, key)
    sealed = await services.sealing.sealer.seal("row", Secret("token"))
    older = (await key_wrapping_of(services).newest()).rpartition("/")[2]
    vault.make(name)

    assert (1, 0) == await services.sealing.data_keys.rewrap()
    assert (0, 0) == await services.sealing.data_keys.rewrap()

    vault.do("vault-key", name=name, change="disable", version=older)
    assert Secret("token") == await in_vault(start, key).sealing.sealer.unseal("row", sealed)


async def test_new_local_key_takes_over_with_the_one_before_it_given(start: Start) -> None:
    sealed = await start().sealing.sealer.seal("row", Secret("token"))
    moving = start(MAILBIND_SEALING_KEY=OTHER_KEY, MAILBIND_SEALING_KEY_PREVIOUS=LOCAL_KEY)

    assert (1, 0) == await moving.sealing.data_keys.rewrap()

    assert Secret("token") == await start(MAILBIND_SEALING_KEY=OTHER_KEY).sealing.sealer.unseal("row", sealed)
    with pytest.raises(SealBroken):
        await start().sealing.sealer.unseal("row", sealed)


@pytest.mark.parametrize("name", ["made", "unknown"])
async def test_reached_vault_ends_its_fault(vault: Vault, clock: MovedClock, name: str) -> None:
    exists, faults = name == "made", ConnectionFaults(clock)
    key = vault.make() if exists else f"{vault.ready['url']}/keys/unknown"
    unknown_host = socket.gaierror(socket.EAI_NONAME, "unknown")
    assert faults.is_ours("key_vault_setup", vault.ready["url"], unknown_host)

    reached = VaultKey(key, IDENTITY, vault.ready["caFile"], faults)
    with nullcontext() if exists else pytest.raises(KeyRefused):
        await reached.newest()
    await reached.close()

    assert [] == faults.current()


async def test_unreadable_data_key_is_counted_and_left_unchanged(start: Start) -> None:
    sealed = await start().sealing.sealer.seal("row", Secret("token"))
    strange = start(MAILBIND_SEALING_KEY=OTHER_KEY)

    assert (0, 1) == await strange.sealing.data_keys.rewrap()
    assert Secret("token") == await start().sealing.sealer.unseal("row", sealed)


def test_app_starts_without_the_vault_and_without_its_sdk() -> None:
    """What nobody needs yet is neither asked nor imported."""
    code = (
        "import sys, function_app; "
        "print([name for name in ('azure.keyvault', 'azure.identity', 'msal') if name in sys.modules])"
    )
    away = {"MAILBIND_KEY_VAULT_KEY": "https://127.0.0.1:9/keys/mailbind", "MAILBIND_SEALING_KEY": ""}
    values = {**settings_for("UseDevelopmentStorage=true"), **away}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=values, capture_output=True, text=True)  # noqa: PLW1510, S603 - our own code, and its output says what went wrong

    assert ("[]\n", "") == (done.stdout, done.stderr)
