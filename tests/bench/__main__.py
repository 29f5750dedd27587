"""`python -m tests.bench`: prints a JSON line for each figure; exits 0 whatever holds."""

import asyncio

from tests.bench import cold_start, hand_out


def main() -> None:
    """All figures."""
    for figure in (*cold_start.figures(), *asyncio.run(hand_out.figures())):
        print(figure, flush=True)


if __name__ == "__main__":
    main()
