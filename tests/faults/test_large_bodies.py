"""Many of the largest bodies at once are answered, and the host's process frees their memory."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from infra.local.environment import LARGEST_REQUEST_BODY_BYTES, Environment
from tests.environments import StartApp
from tests.faults.test_memory import resident

LIMIT = LARGEST_REQUEST_BODY_BYTES
AT_ONCE = 32
WARM_UP_ROUNDS, ROUNDS = 4, 3
# A quarter of the bodies that are sent after the warm-up: how many are in memory at once differs from round to round.
MOST_KIB = ROUNDS * AT_ONCE * LIMIT // 1024 // 4


@pytest.fixture(scope="module")
def environment(start_app: StartApp) -> Iterator[Environment]:
    with start_app() as running:
        yield running


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 413), (LIMIT + 1, 500)])
def test_many_of_the_largest_bodies_leak_no_memory(environment: Environment, size: int, status: int) -> None:
    """The host itself refuses one byte more, without a body."""
    url, content = f"{environment.base_url}/v1/account", b"a" * size
    headers = {
        "Authorization": f"Bearer {environment.secrets.admin_token}",
        "Content-Type": "application/json",
    }

    def post(_: int) -> int:
        return httpx.post(url, content=content, headers=headers, timeout=120, trust_env=False).status_code

    with ThreadPoolExecutor(AT_ONCE) as clients:
        list(clients.map(post, range(AT_ONCE * WARM_UP_ROUNDS)))
        before = resident(environment)
        answers = Counter(clients.map(post, range(AT_ONCE * ROUNDS)))
        grown = resident(environment) - before

    assert {status: AT_ONCE * ROUNDS} == answers
    assert grown <= MOST_KIB
