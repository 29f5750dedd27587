"""A bound account, and many grants, all due: written by the repositories themselves."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.formats import table_key
from shared.domain.secret import Secret
from shared.domain.work import Work, WorkKind
from shared.ports import App, DirectoryEntry, Insert
from shared.usecases.tokens.hand_out import hand_out
from tests.contract.records import APP, account, grant, principal

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


async def bound_account(services: App) -> tuple[str, str]:
    """The id of an account that has handed out a token, with tokens of Entra's size; and its partition's key."""
    who, now = principal(), services.clock()
    held = account(who, now)
    hot = grant(who, now).with_hand_out(now, 0)
    sized = replace(hot, access_token=Secret("a" * 2200), refresh_token=Secret("r" * 1200))
    await services.stores.principals.commit(who.id, [Insert(sized), Insert(held)])
    await services.stores.directory.insert(DirectoryEntry(held.id, who.id, APP))
    await hand_out(services, held.id)
    return held.id, table_key(who.id)


async def plan(services: App, count: int, due: datetime) -> None:
    """So many agenda rows only, for runs that find nothing due."""
    for begin in range(0, count, 2000):
        rows = (Work(WorkKind.KEEPALIVE, due, f"planned.{number}", APP) for number in range(begin, begin + 2000))
        await asyncio.gather(*(services.stores.agenda.add(row) for row in rows))
