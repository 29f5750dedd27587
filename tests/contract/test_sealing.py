"""Sealing, with data keys on Azurite."""

import base64
import secrets
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.local.azurite import Azurite
from shared.bootstrap import build
from shared.domain.errors import SealBroken
from shared.domain.secret import Secret
from shared.ports import App
from shared.usecases.sign_in.link import unseal_from_browser
from tests.conftest import settings_for


async def test_value_sealed_for_one_identity_opens_only_for_it(services: App) -> None:
    sealed = await services.sealing.sealer.seal("row-1", Secret("token"))

    assert Secret("token") == await services.sealing.sealer.unseal("row-1", sealed)
    with pytest.raises(SealBroken):
        await services.sealing.sealer.unseal("row-2", sealed)


async def test_sealing_twice_gives_different_values(services: App) -> None:
    assert await services.sealing.sealer.seal("row", Secret("x")) != await services.sealing.sealer.seal(
        "row", Secret("x")
    )


async def test_sealed_value_opens_in_another_process_with_the_same_key(storage: Azurite) -> None:
    one = build(settings_for(storage.connection_string))
    sealed = await one.sealing.sealer.seal("row", Secret("x"))
    two = build(settings_for(storage.connection_string))
    other_key = base64.b64encode(secrets.token_bytes(32)).decode()
    stranger = build(settings_for(storage.connection_string, MAILBIND_SEALING_KEY=other_key))

    assert Secret("x") == await two.sealing.sealer.unseal("row", sealed)
    with pytest.raises(SealBroken):
        await stranger.sealing.sealer.unseal("row", sealed)
    for built in (one, two, stranger):
        await built.close()


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200))
async def test_forged_values_do_not_open(services: App, made_up: str) -> None:
    real = await services.sealing.sealer.seal("row", Secret("x"))
    head = real.rpartition(".")[0]

    for text in (made_up, f"{head}.{made_up}", real + made_up if made_up else "", real[:-4] + made_up[:4]):
        if text != real:
            with pytest.raises(SealBroken):
                await services.sealing.sealer.unseal("row", text)


@pytest.mark.parametrize("field", ["v1.{key}.{long}", "v1.{long}.AAAA", "{long}", "v1.{key}.AAAA"])
async def test_large_form_fields_leave_no_memory_behind(services: App, field: str) -> None:
    """The form's registration is part of the identity, and its field names the data key."""
    key = (await services.sealing.sealer.seal("row", Secret("x"))).split(".")[1]
    text, long = field.format(key=key, long="A" * 1_000_000), "r" * 1_000_000

    tracemalloc.start()
    try:
        await unseal_from_browser(services, "confirm", f"{long}0", Secret("c" * 43), text)
        before = tracemalloc.get_traced_memory()[0]
        for number in range(1, 10):
            assert (
                await unseal_from_browser(
                    services, "confirm", f"{long}{number}", Secret("c" * 43), f"{text[:-1]}{number}"
                )
                is None
            )
        kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert kept < 100_000
