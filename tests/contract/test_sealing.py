"""Promises of sealing, with data keys on Azurite."""

import base64
import secrets
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.local.azurite import Azurite
from shared.bootstrap import build_services
from shared.domain.errors import SealBroken
from shared.domain.secret import Secret
from shared.services import Services
from tests.conftest import settings_for


async def test_what_is_sealed_for_one_identity_opens_for_it_alone(services: Services) -> None:
    sealed = await services.sealer.seal("row-1", Secret("token"))

    assert Secret("token") == await services.sealer.unseal("row-1", sealed)
    with pytest.raises(SealBroken):
        await services.sealer.unseal("row-2", sealed)


async def test_sealing_twice_never_looks_the_same(services: Services) -> None:
    assert await services.sealer.seal("row", Secret("x")) != await services.sealer.seal("row", Secret("x"))


async def test_another_process_opens_it_with_the_same_key_and_not_with_another(storage: Azurite) -> None:
    one = build_services(settings_for(storage.connection_string))
    sealed = await one.sealer.seal("row", Secret("x"))
    two = build_services(settings_for(storage.connection_string))
    other_key = base64.b64encode(secrets.token_bytes(32)).decode()
    stranger = build_services(settings_for(storage.connection_string, MAILBIND_SEALING_KEY=other_key))

    assert Secret("x") == await two.sealer.unseal("row", sealed)
    with pytest.raises(SealBroken):
        await stranger.sealer.unseal("row", sealed)
    for built in (one, two, stranger):
        await built.close()


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200))
async def test_nothing_that_somebody_makes_up_opens(services: Services, made_up: str) -> None:
    real = await services.sealer.seal("row", Secret("x"))
    head = real.rpartition(".")[0]

    for text in (made_up, f"{head}.{made_up}", real + made_up if made_up else "", real[:-4] + made_up[:4]):
        if text != real:
            with pytest.raises(SealBroken):
                await services.sealer.unseal("row", text)


@pytest.mark.parametrize("field", ["v1.{key}.{long}", "v1.{long}.AAAA", "{long}", "v1.{key}.AAAA"])
async def test_what_a_browser_sends_leaves_nothing_of_its_size_behind(services: Services, field: str) -> None:
    """The form's registration is part of the identity, and its field names the data key."""
    key = (await services.sealer.seal("row", Secret("x"))).split(".")[1]
    text, long = field.format(key=key, long="A" * 1_000_000), "r" * 1_000_000
    binding = services.binding

    tracemalloc.start()
    try:
        await binding.unseal("confirm", f"{long}0", Secret("c" * 43), text)
        before = tracemalloc.get_traced_memory()[0]
        for number in range(1, 10):
            assert await binding.unseal("confirm", f"{long}{number}", Secret("c" * 43), f"{text[:-1]}{number}") is None
        kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert kept < 100_000
