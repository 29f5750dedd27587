"""At the expiry of a link, its caller gets an expiry event or a bound account, never both."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from infra.local.environment import Environment
from shared.domain.account import Principal
from shared.domain.errors import StorageUnavailable
from shared.domain.registration import PendingRegistration, RegistrationStatus
from shared.domain.secret import Secret
from shared.domain.work import Work
from shared.ports import Agenda, App, SignedIn
from shared.usecases.events.delivery import deliver_events
from shared.usecases.sign_in.complete import conclude_sign_in
from shared.usecases.sign_in.outcome import Completed, Outcome
from tests.conftest import MovedClock, first_app, unguarded
from tests.environments import trust
from tests.events.conftest import Receiver
from tests.journey.conftest import Tenant, ask, status, tick

COOKIE = Secret("a-browser")


class Interrupted:
    """The agenda. A binding adds its grant's row before it writes anything, and then something else happens."""

    def __init__(self, agenda: Agenda, during: Callable[[], Awaitable[None]] | None) -> None:
        self.agenda, self.during = agenda, during

    async def add(self, work: Work) -> None:
        during, self.during = self.during, None
        if during is not None:
            await during()
        await self.agenda.add(work)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.agenda, name)


@dataclass
class Late:
    """A callback that starts one minute before its link expires."""

    instance: App
    clock: MovedClock
    asked: PendingRegistration
    signed_in: SignedIn
    told: Callable[[], list[str]]

    async def binds(self, during: Callable[[], Awaitable[None]] | None = None) -> Outcome:
        """The outcome; `during` runs just before the binding is written."""
        agenda: Any = Interrupted(self.instance.stores.agenda, during)
        return await conclude_sign_in(
            replace(self.instance, stores=replace(self.instance.stores, agenda=agenda)),
            first_app(self.instance),
            self.asked,
            self.signed_in,
            COOKIE,
        )

    async def passes(self, **time: float) -> None:
        self.clock.forward(**time)
        await tick(self.instance)

    async def events(self) -> list[str]:
        """Everything that the caller learned in the end."""
        await self.passes(minutes=20)
        await deliver_events(self.instance, self.clock() + timedelta(minutes=4))
        return self.told()


@pytest.fixture
async def late(
    api: httpx.Client,
    tenant: Tenant,
    person: Callable[..., str],
    instance: App,
    clock: MovedClock,
    receiver: Receiver,
    environment: Environment,
) -> Late:
    who, asked, ready = person(), ask(api), environment.tenant.ready
    hook = {"url": receiver.url(f"ok/{asked['account']}"), "account": asked["account"], "verify": False}
    assert 201 == api.post("/v1/webhooks", json=hook).status_code
    clock.forward(hours=23, minutes=59)
    stored = await instance.stores.registrations.get(asked["registration"])
    assert stored is not None
    async with httpx.AsyncClient(verify=trust(ready["caFile"])) as control:
        people = (await control.get(ready["controlUrl"])).json()["people"]
    (oid,) = [one["oid"] for one in people if one["upn"] == who]
    token = Secret(tenant.do("sign-in", person=who)["refreshToken"])
    app = first_app(instance)
    signed_in = SignedIn(Principal(app.tenant, oid, who), await unguarded(instance).refresh(app, token))

    def told() -> list[str]:
        return [record["body"]["event"] for record in receiver.took(f"ok/{asked['account']}")]

    return Late(instance, clock, stored.value, signed_in, told)


async def test_callback_binds_nothing_after_the_link_ended(late: Late, api: httpx.Client) -> None:
    await late.passes(minutes=3)

    outcome = await late.binds()

    assert isinstance(outcome, Completed)
    assert ["link_expired"] == [result.code for result in outcome.results.values()]
    assert None is outcome.again
    assert 404 == api.get(f"/v1/account/{late.asked.unsettled_mailboxes[0].account}").status_code
    assert "expired" == status(api, {"registration": late.asked.id})["status"]
    assert ["registrationExpired"] == await late.events()


async def test_link_does_not_expire_during_a_binding(late: Late) -> None:
    async def time_passes() -> None:
        await late.passes(minutes=5)
        link = await late.instance.stores.registrations.get(late.asked.id)
        assert link is not None
        assert RegistrationStatus.EXPIRED is not link.value.status_at(late.clock())

    await late.binds(time_passes)

    assert ["accountAdded", "accountInitialized"] == await late.events()


async def test_link_expires_later_after_a_failed_binding(late: Late) -> None:
    async def storage_fails() -> None:
        raise StorageUnavailable

    await late.binds(storage_fails)
    await late.passes(minutes=5)

    assert ["registrationExpired"] == await late.events()
