"""An app to which things happen, ever again, and which tells of them meanwhile: to be killed."""

import asyncio
import os
import sys
from datetime import timedelta

from shared.bootstrap import build
from shared.domain.event import EventName
from shared.usecases.events.delivery import deliver_events
from tests.events.conftest import Teller, named


async def live() -> None:
    """Until it is killed; one line for each transaction that was committed."""
    services = build(os.environ)

    async def happen() -> None:
        while True:
            teller = Teller(services)
            name = named("dying")
            await teller.tell(name, EventName.ACCOUNT_ADDED, EventName.ACCOUNT_INITIALIZED)
            sys.stdout.write(name + "\n")
            sys.stdout.flush()

    async def deliver() -> None:
        while True:
            await deliver_events(services, services.clock() + timedelta(minutes=1))

    await asyncio.gather(*(happen() for _ in range(4)), deliver())


if __name__ == "__main__":
    asyncio.run(live())
