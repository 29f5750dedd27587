"""Promises of `python -m shared.rotate`."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta

import pytest

from infra.local.azurite import Azurite
from infra.local.parts import ROOT
from shared.domain.errors import SealBroken
from shared.domain.secret import Secret
from shared.ports import Insert
from tests.conftest import MovedClock, settings_for
from tests.contract.records import grant, principal
from tests.keys.conftest import Start, Vault, tenant_settings
from tests.keys.test_key_vault import in_vault

pytestmark = pytest.mark.usefixtures("fresh")

type Rotate = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def rotate(storage: Azurite, vault: Vault) -> Rotate:
    """The command as a process of its own, with the settings of the app."""

    def run(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        values = settings_for(storage.connection_string, **{**tenant_settings(vault.ready), **changes})
        command = [sys.executable, "-m", "shared.rotate", *arguments]
        environment = {**os.environ, **values}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own command

    return run


async def test_command_reseals_old_values_and_deletes_the_old_key(
    rotate: Rotate, start: Start, clock: MovedClock
) -> None:
    clock.ahead = timedelta(hours=-3)
    services = start()
    who = principal()
    await services.stores.principals.commit(who.id, [Insert(grant(who, clock()))])
    old = await services.sealing.sealer.seal("row", Secret("x"))
    clock.forward(hours=1)
    await services.sealing.data_keys.make()

    resumed, forgot = rotate("--resume"), rotate("--forget-old")

    assert (0, "") == (resumed.returncode, resumed.stderr)
    assert "Principals: 2 sealed values, 2 under older keys" in resumed.stdout
    assert "re-sealed 1, changed meanwhile 0, do not open 0" in resumed.stdout
    assert 0 == forgot.returncode
    assert f"forgot data key {old.split('.')[1]}" in forgot.stdout
    stored = await start().stores.principals.grant(who.id, grant(who, clock()).app)
    assert stored is not None
    assert Secret("refresh-token") == stored.value.refresh_token
    with pytest.raises(SealBroken):
        await start().sealing.sealer.unseal("row", old)


async def test_it_says_which_old_data_keys_are_kept_and_why(rotate: Rotate, start: Start) -> None:
    services = start()
    who = principal()
    await services.stores.principals.commit(who.id, [Insert(grant(who, services.clock()))])
    await services.sealing.data_keys.make()

    kept = rotate("--forget-old")

    assert 1 == kept.returncode
    assert "2 values need it; rotate first" in kept.stdout


async def test_it_moves_data_keys_to_the_vault(rotate: Rotate, start: Start, vault: Vault) -> None:
    sealed = await start().sealing.sealer.seal("row", Secret("x"))
    key = vault.make()

    moved = rotate("--rewrap", MAILBIND_KEY_VAULT_KEY=key)

    assert (0, "re-wrapped 1 data keys; 0 do not open\n", "") == (moved.returncode, moved.stdout, moved.stderr)
    assert Secret("x") == await in_vault(start, key).sealing.sealer.unseal("row", sealed)


async def test_command_explains_vault_refusals_and_wrong_settings(rotate: Rotate, start: Start, vault: Vault) -> None:
    await start().sealing.sealer.seal("row", Secret("x"))

    refused = rotate("--rewrap", MAILBIND_KEY_VAULT_KEY=f"{vault.ready['url']}/keys/no-such-key")
    wrong = rotate("--rewrap", MAILBIND_SEALING_KEY="nonsense")

    assert (1, 1) == (refused.returncode, wrong.returncode)
    assert "rotate: The key vault does not let Mailbind use its key" in refused.stderr
    assert "rotate: settings: MAILBIND_SEALING_KEY must be 32 bytes in base64" in wrong.stderr
    assert "Traceback" not in refused.stderr + wrong.stderr
