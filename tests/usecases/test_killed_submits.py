"""A submit that is killed at any request to storage or call to Graph sends once, or says that it may not have.

MAILBIND_EVERY_WRITE kills each recovery at each of its calls too.
"""

import os
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import count

from shared.domain.confined.refused import OutcomeUnknown
from shared.domain.errors import Unavailable
from shared.ports import App
from shared.usecases.upkeep.tick import run_tick
from tests.conftest import MovedClock
from tests.usecases.submits import (
    Death,
    Killed,
    at_once,
    found,
    mortal,
    new_subject,
    send_one,
)

EVERY = bool(os.environ.get("MAILBIND_EVERY_WRITE"))
# A recovery is killed at these of its calls.
STEP = 1 if EVERY else 5
LEASE_OVER = timedelta(minutes=4)

type Doing = Callable[[App], Awaitable[object]]


async def killed(app: App, doing: Doing, at: int, *, before: bool) -> bool:
    """Do it in a process that is killed at that call. False if it ended before."""
    death = Death(at, before)
    try:
        await doing(mortal(app, death))
    except Killed:
        return True
    except (OutcomeUnknown, Unavailable):
        return False
    return False


async def end_of(app: App, account: str, subject: str, clock: MovedClock, send_at: datetime | None) -> str:
    """What the same key is told in the end, which is true of the mailbox, and stays so."""
    told = list[str]()
    for _ in range(3):
        clock.forward(seconds=LEASE_OVER.total_seconds())
        try:
            done = (await send_one(app, account, subject, subject, send_at)).submission
            told.append(done.state.value)
        except OutcomeUnknown:
            told.append("unknown")
        await run_tick(app)
    copies = await found(app, account, "sentitems", subject), await found(app, account, "drafts", subject)
    assert copies == {"sent": (1, 0), "unknown": (0, 1)}[told[-1]], told
    assert told[-1] == told[-2]
    return told[-1]


async def kill_everywhere(app: App, account: str, clock: MovedClock, ahead: timedelta | None) -> Counter[str]:
    """Kill the submit at each call, and then its recovery, by the caller or the timer, at some or all of its calls."""
    ends, app = Counter[str](), at_once(app)

    for first in count(1):
        died = False
        for before in (True, False):
            for second in (None, *range(1 + first % STEP, 40, STEP)):
                subject = new_subject()
                send_at = app.clock() + ahead if ahead else None

                async def submitted(services: App, subject: str = subject, send_at: datetime | None = send_at) -> None:
                    await send_one(services, account, subject, subject, send_at)

                died = await killed(app, submitted, first, before=before)
                ends["kills"] += died
                clock.forward(seconds=LEASE_OVER.total_seconds())
                recovered_by = submitted if (first + (second or 0)) % 2 else run_tick
                again = second is not None and await killed(app, recovered_by, second, before=not before)
                ends["kills"] += again
                ends[await end_of(app, account, subject, clock, send_at)] += 1
                if not died or (second is not None and not again):
                    break
        if not died:
            return ends
    raise AssertionError


async def test_killed_submit_sends_once(app: App, sending_account: str, clock: MovedClock) -> None:
    ends = await kill_everywhere(app, sending_account, clock, None)

    print(dict(ends))  # noqa: T201 - the numbers that the project reports
    assert ends["kills"] > (190 if EVERY else 30)
    assert ends["sent"] > 3 * ends["unknown"] > 0


async def test_killed_submit_for_later_sends_once(app: App, sending_account: str, clock: MovedClock) -> None:
    ends = await kill_everywhere(app, sending_account, clock, timedelta(minutes=3))

    print(dict(ends))  # noqa: T201 - the numbers that the project reports
    assert ends["kills"] > (190 if EVERY else 30)
    assert ends["sent"] > ends["unknown"]
