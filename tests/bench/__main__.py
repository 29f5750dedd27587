"""`python -m tests.bench [name …]`: prints a JSON line for each figure; exits 0 whatever holds."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from tests.bench import cold_start, confined, fan_out, hand_out, refresh, remembered, tick
from tests.bench.figure import Figure


async def _cold_start() -> list[Figure]:
    return await asyncio.to_thread(cold_start.figures)


BENCHES: dict[str, Callable[[], Coroutine[Any, Any, list[Figure]]]] = {
    "cold-start": _cold_start,
    "hand-out": hand_out.figures,
    "remembered": remembered.figures,
    "confined": confined.figures,
    "refresh": refresh.figures,
    "fan-out": fan_out.figures,
    "idle-tick": tick.idle,
    "memory": tick.memory,
}


def main() -> None:
    """The named benchmarks, or all."""
    for name in sys.argv[1:] or BENCHES:
        for figure in asyncio.run(BENCHES[name]()):
            print(figure, flush=True)


if __name__ == "__main__":
    main()
