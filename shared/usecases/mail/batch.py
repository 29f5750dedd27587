"""Make the calls of a batch, in an order that fits their dependencies, a few at once."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus

from shared.domain.confined.batches import BatchPart
from shared.domain.confined.refused import DependencyFailed, PartNotSent
from shared.domain.errors import MailbindError
from shared.usecases.mail.answers import MailAnswer
from shared.usecases.mail.turns import MAX_CALLS_PER_MAILBOX

# Azure's load balancer gives up after 230 seconds (Functions: "Azure Functions scale and hosting", timeouts).
MAX_SECONDS_TO_BEGIN = 100.0


async def make_batch(
    parts: Sequence[BatchPart],
    make: Callable[[BatchPart], Awaitable[MailAnswer]],
    refuse: Callable[[BatchPart, MailbindError], MailAnswer],
) -> Mapping[str, MailAnswer]:
    """The answer of each part by its id. `make` makes the call of a part; `refuse` answers for one that is not made.

    Every part is answered, so a caller always knows which were sent.
    """
    at_once = asyncio.Semaphore(MAX_CALLS_PER_MAILBOX)
    time = asyncio.get_running_loop().time
    latest = time() + MAX_SECONDS_TO_BEGIN
    made: dict[str, asyncio.Task[MailAnswer]] = {}

    async def make_in_turn(part: BatchPart) -> MailAnswer:
        before = [await made[name] for name in part.depends_on]
        if any(answer.status >= HTTPStatus.BAD_REQUEST for answer in before):
            return refuse(part, DependencyFailed())
        async with at_once:
            return await make(part) if time() < latest else refuse(part, PartNotSent())

    async with asyncio.TaskGroup() as group:
        for part in parts:
            made[part.id] = group.create_task(make_in_turn(part))
    return {name: task.result() for name, task in made.items()}
