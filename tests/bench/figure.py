"""One figure: a ratio, its target, and whether it holds."""

import json
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """What `make bench` prints a line of."""

    figure: str
    ratio: float
    target: str
    holds: bool
    detail: dict[str, Any]

    def __str__(self) -> str:
        return json.dumps(asdict(self))


def at_least(name: str, ratio: float, least: float, **detail: Any) -> Figure:
    """A figure that should not fall below its target."""
    return Figure(name, round(ratio, 3), f">= {least:.2f}", ratio >= least, detail)


def at_most(name: str, ratio: float, most: float, **detail: Any) -> Figure:
    """A figure that should not rise above its target."""
    return Figure(name, round(ratio, 3), f"<= {most:.2f}", ratio <= most, detail)


type Work = Callable[[], Awaitable[None]]


async def in_turn(
    one: Work, other: Work, rounds: int, clock: Callable[[], float] = time.perf_counter
) -> tuple[float, float, float]:
    """Median seconds of two pieces of work and the median ratio one/other, round by round in turn.

    In turn, because the speed of a shared machine drifts; the order changes from round to round.
    """
    ones: list[float] = []
    others: list[float] = []
    for number in range(rounds):
        for work, times in [(one, ones), (other, others)][:: 1 if number % 2 else -1]:
            began = clock()
            await work()
            times.append(clock() - began)
    ratios = [a / b for a, b in zip(ones, others, strict=True)]
    return statistics.median(ones), statistics.median(others), statistics.median(ratios)
