"""What operators see of the upkeep: counters, the backlog, the last tick."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import httpx

from infra.local.visitor import Visitor
from shared.domain.work import Work
from shared.ports import App, Replace
from shared.usecases.tokens.hand_out import hand_out
from shared.usecases.upkeep.sweep import sweep
from tests.journey.conftest import bind, principal_id, tick
from tests.usecases.grants import grant_of

type NewPerson = Callable[..., str]


async def test_stats_show_counters_backlog_and_the_last_tick(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App
) -> None:
    account = bind(api, visitor, person())
    await hand_out(instance, account)
    grant = await grant_of(instance, account)
    soon = replace(grant.value, due=instance.clock() - timedelta(minutes=10))
    assert soon.due
    await instance.stores.agenda.add(Work(soon.work, soon.due, soon.principal.id, soon.app))
    await instance.stores.principals.commit(await principal_id(instance, account), [Replace(soon, grant.version)])
    await sweep(instance, instance.clock() + timedelta(minutes=4))
    late = api.get("/v1/stats").json()
    assert late["accounts"]["connected"] >= 1
    assert late["grants"]["hot"] >= 1
    assert late["overdue"] >= 1
    assert late["oldestOverdueSeconds"] >= 600

    await tick(instance)

    after = api.get("/v1/stats").json()
    assert after["lastTick"]["outcomes"]["refreshed"] >= 1
    assert 0 == after["overdue"]
