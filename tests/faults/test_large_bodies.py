"""Many of the largest bodies at once are answered, and the host's process frees their memory."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from infra.local.environment import LARGEST_REQUEST_BODY_BYTES, Environment
from tests.environments import StartApp
from tests.faults.test_memory import MOST, resident

LIMIT = LARGEST_REQUEST_BODY_BYTES
AT_ONCE = 32


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
        list(clients.map(post, range(AT_ONCE)))  # warm-up
        before = resident(environment)
        answers = Counter(clients.map(post, range(AT_ONCE)))
        grown = resident(environment) - before

    assert {status: AT_ONCE} == answers
    assert grown <= MOST
