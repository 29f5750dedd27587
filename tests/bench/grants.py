"""Many grants, all due: written by the repositories themselves."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.secret import Secret
from shared.domain.work import Work, WorkKind
from shared.ports import App, Insert
from tests.contract.records import APP, grant, principal

AT_ONCE = 64


async def seed(services: App, count: int, due: datetime, apps: int = 1) -> None:
    """So many grants with their agenda rows, due at one moment but for some milliseconds, of so many OAuth apps."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with slots:
            who = principal()
            when = due + timedelta(milliseconds=number % 1000)
            held = replace(
                grant(who, due),
                app=APP if apps == 1 else f"app-{number % apps:012}",
                refresh_token=Secret("r" * 1100),
                access_token=Secret("a" * 2200),
                due=when,
                work=WorkKind.KEEPALIVE,
                probe_due=when + timedelta(days=3650),
            )
            await services.stores.agenda.add(Work(held.work, when, who.id, held.app))
            await services.stores.principals.commit(who.id, [Insert(held)])

    for begin in range(0, count, 1000):
        await asyncio.gather(*(one(number) for number in range(begin, min(begin + 1000, count))))


async def plan(services: App, count: int, due: datetime) -> None:
    """So many agenda rows only, for runs that find nothing due."""
    for begin in range(0, count, 2000):
        rows = (Work(WorkKind.KEEPALIVE, due, f"planned.{number}", APP) for number in range(begin, begin + 2000))
        await asyncio.gather(*(services.stores.agenda.add(row) for row in rows))
