"""A browser comes back from Microsoft a second time with the same answer."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from infra.local.visitor import Visitor
from shared.domain.formats import fingerprint
from shared.domain.secret import Secret
from shared.ports import App, Timeouts
from shared.usecases.sign_in.complete import complete_sign_in
from shared.usecases.sign_in.outcome import CarriedField, Completed, Outcome, Refused
from shared.usecases.sign_in.repeated import look_again
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant
from tests.usecases.conftest import NewPerson, StartApp, ask, choose_person, end_of, go_to_microsoft, status

IMPATIENT = Timeouts(repeated_return=timedelta())


async def returned(app: App, visitor: Visitor, login: str) -> tuple[Mapping[str, str], Secret]:
    """What the browser posts back for a new link, and its cookie."""
    begun = await go_to_microsoft(app, visitor, await ask(app))
    return await choose_person(visitor, begun.picker, login), begun.cookie


async def begun_attempt(app: App, answer: Mapping[str, str]) -> str:
    """The id of the attempt, once its first return is being worked on."""
    registration, attempt = answer["state"].partition(".")[0], fingerprint(answer["state"])
    for _ in range(200):
        stored = await app.stores.registrations.attempt(registration, attempt)
        if stored is not None and stored.value.used:
            return attempt
        await asyncio.sleep(0.02)
    pytest.fail("the first return is not worked on")


def looking(outcome: Outcome) -> CarriedField:
    """What the page of a sign-in in progress carries."""
    assert isinstance(outcome, Refused)
    assert "sign_in_in_progress" == outcome.code
    assert outcome.look is not None
    return outcome.look


async def test_second_return_waits_for_the_end_of_the_first(
    app: App, new_app: StartApp, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    answer, cookie = await returned(app, visitor, person())
    before = len(tenant.events("code redeemed"))
    tenant.do("latency", endpoint="graph", milliseconds=1000)

    first, second = await asyncio.gather(
        complete_sign_in(app, answer, cookie), complete_sign_in(new_app(), answer, cookie)
    )

    assert isinstance(first, Completed)
    assert isinstance(second, Completed)
    assert first.registration.id == second.registration.id
    assert first.principal == second.principal
    assert ["new", "new"] == [end_of(first), end_of(second)]
    assert 1 == len(tenant.events("code redeemed")) - before


async def test_page_of_a_sign_in_in_progress_leads_to_its_end(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    answer, cookie = await returned(app, visitor, person())
    tenant.do("latency", endpoint="graph", milliseconds=3000)
    running = asyncio.create_task(complete_sign_in(app, answer, cookie))
    attempt = await begun_attempt(app, answer)

    look = looking(await complete_sign_in(replace(app, timeouts=IMPATIENT), answer, cookie))
    forged = CarriedField(look.registration, attempt)

    assert "sign_in_unknown" == end_of(await look_again(app, look, Secret("B" * 43)))
    assert "sign_in_unknown" == end_of(await look_again(app, forged, cookie))
    assert ["new", "new"] == [end_of(await look_again(app, look, cookie)), end_of(await running)]


@pytest.mark.parametrize("failure", [None, "53003", "7000222", "90033"])
async def test_every_refusal_is_shown_again(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, failure: str | None
) -> None:
    answer, cookie = await returned(app, visitor, person(access=failure is not None))
    if failure:
        tenant.do("fail", endpoint="token", failure=failure, times=1)

    first, second = [await complete_sign_in(app, answer, cookie) for _ in range(2)]

    assert end_of(first) not in {"new", "sign_in_unknown"}
    assert end_of(first) == end_of(second)
    assert first.again is not None
    assert second.again is not None


async def test_sign_in_of_a_killed_process_can_be_started_again(
    app: App, visitor: Visitor, person: NewPerson, clock: MovedClock
) -> None:
    link = await ask(app)
    begun = await go_to_microsoft(app, visitor, link)
    answer = await choose_person(visitor, begun.picker, person())
    stored = await app.stores.registrations.attempt(link.registration, fingerprint(answer["state"]))
    assert stored is not None
    assert await app.stores.registrations.use_attempt(stored, clock())
    look = looking(await complete_sign_in(replace(app, timeouts=IMPATIENT), answer, begun.cookie))

    clock.forward(minutes=3)
    ended = await look_again(app, look, begun.cookie)

    assert isinstance(ended, Refused)
    assert "sign_in_unknown" == ended.code
    assert ended.again is not None
    assert "opened" == await status(app, link)
