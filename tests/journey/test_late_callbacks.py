"""Promises about a link's last moment: the caller hears that it expired, or of a bound account, never of both."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest

from infra.local.environment import Environment
from shared.domain.account import Account
from shared.domain.errors import StorageUnavailable
from shared.domain.principal import Principal
from shared.domain.registration import PendingRegistration, RegistrationStatus
from shared.domain.secret import Secret
from shared.ports import SignedIn
from shared.services import Services
from shared.usecases.sign_in.sign_in_outcome import Outcome, Tried
from shared.usecases.sign_in.write_binding import WriteBinding
from tests.conftest import MovedClock
from tests.events.conftest import Receiver
from tests.journey.conftest import Tenant, ask, status, tick, trust

COOKIE = Secret("a-browser")


@dataclass
class Late:
    """A callback whose link was alive when it began, one minute before the link's end."""

    instance: Services
    clock: MovedClock
    asked: PendingRegistration
    signed_in: SignedIn
    told: Callable[[], list[str]]

    async def binds(self) -> Outcome:
        return await self.instance.bind_signed_in(self.instance.settings.oauth_app, self.asked, self.signed_in, COOKIE)

    async def passes(self, **time: float) -> None:
        self.clock.forward(**time)
        await tick(self.instance)

    async def events(self) -> list[str]:
        """All that the caller was told in the end."""
        await self.passes(minutes=20)
        await self.instance.deliver_events(self.clock() + timedelta(minutes=4))
        return self.told()


@pytest.fixture
async def late(
    api: httpx.Client,
    tenant: Tenant,
    person: Callable[..., str],
    instance: Services,
    clock: MovedClock,
    receiver: Receiver,
    environment: Environment,
) -> Late:
    who, asked, ready = person(), ask(api), environment.tenant.ready
    hook = {"url": receiver.url(f"ok/{asked['account']}"), "account": asked["account"], "verify": False}
    assert 201 == api.post("/v1/webhooks", json=hook).status_code
    clock.forward(hours=23, minutes=59)
    stored = await instance.registrations.get(asked["registration"])
    assert stored is not None
    async with httpx.AsyncClient(verify=trust(ready["caFile"])) as control:
        people = (await control.get(ready["controlUrl"])).json()["people"]
    (oid,) = [one["oid"] for one in people if one["upn"] == who]
    token = Secret(tenant.do("sign-in", person=who)["refreshToken"])
    app = instance.settings.oauth_app
    signed_in = SignedIn(Principal(app.tenant, oid, who), await instance.msal.refresh(app, token))

    def told() -> list[str]:
        return [record["body"]["event"] for record in receiver.took(f"ok/{asked['account']}")]

    return Late(instance, clock, stored.value, signed_in, told)


async def test_a_callback_that_comes_to_bind_after_the_end_was_told_binds_nothing(
    late: Late, api: httpx.Client
) -> None:
    await late.passes(minutes=3)

    outcome = await late.binds()

    assert isinstance(outcome, Tried)
    assert ["link_expired"] == [result.code for result in outcome.results.values()]
    assert None is outcome.again
    assert 404 == api.get(f"/v1/account/{late.asked.unsettled_mailboxes[0].account}").status_code
    assert "expired" == status(api, {"registration": late.asked.id})["status"]
    assert ["registrationExpired"] == await late.events()


async def test_a_link_whose_end_comes_while_a_mailbox_is_being_bound_has_not_expired(
    late: Late, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = WriteBinding.__call__

    async def slow(*given: Any) -> Account:
        await late.passes(minutes=5)
        link = await late.instance.registrations.get(late.asked.id)
        assert link is not None
        assert RegistrationStatus.EXPIRED is not link.value.status_at(late.clock())
        return await write(*given)

    monkeypatch.setattr(WriteBinding, "__call__", slow)
    await late.binds()

    assert ["accountAdded", "accountInitialized"] == await late.events()


async def test_a_link_whose_last_binding_came_to_nothing_expires_a_little_later(
    late: Late, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(*_: Any) -> Account:
        raise StorageUnavailable

    monkeypatch.setattr(WriteBinding, "__call__", dies)
    await late.binds()
    await late.passes(minutes=5)

    assert ["registrationExpired"] == await late.events()
