"""After two thousand hostile requests the host's process is as large as before."""

import itertools
import random
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest

from infra.local.environment import Environment
from tests.environments import StartApp
from tests.journey.conftest import ask
from tests.journey.test_bounds import ROUTES

WARM_UP, HOSTILE = 600, 2000
MOST = 20 * 1024  # KiB
LARGE = 100_000  # more than the app takes, less than what the host refuses without asking it
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
PAGES = ("/accounts/new", "/oauth")
RESIDENT = re.compile(r"(?m)^VmRSS:\s+(\d+) kB$")  # proc_pid_status(5)

type Attack = Callable[[str], tuple[str, str, bytes, dict[str, str]]]


@pytest.fixture(scope="module")
def environment(start_app: StartApp) -> Iterator[Environment]:
    with start_app() as running:
        yield running


def resident(environment: Environment) -> int:
    """KiB of memory that the host's process holds."""
    found = RESIDENT.search(Path(f"/proc/{environment.host.process.pid}/status").read_text())
    assert found is not None
    return int(found[1])


def unique(length: int) -> str:
    """Text that no cache has seen."""
    return secrets.token_hex(16) + "r" * (length - 32)


def attacks(data_key: str, random_one: random.Random) -> Iterator[Attack]:
    """Each makes method, path, body and headers of a request as large as the route accepts."""

    def size() -> int:
        return random_one.choice([100, 8000, 60_000, LARGE])

    def form(**fields: str) -> Attack:
        content = urlencode(fields).encode()
        path = random_one.choice(PAGES)
        return lambda _: ("POST", path, content, {"Content-Type": FORM})

    def to_route(content: bytes = b"", query: str = "", headers: Mapping[str, str] | None = None) -> Attack:
        def attack(route: str) -> tuple[str, str, bytes, dict[str, str]]:
            method, path = re.sub(r"{\w+}", unique(200), route).split(" ")
            kind = {"Content-Type": FORM if path in PAGES else JSON}
            return method, f"{path}?{query}", content, {**kind, **(headers or {})}

        return attack

    while True:
        yield form(registration=unique(size()), keep=f"v1.{data_key}.AAAA")
        yield form(registration="a", keep=f"v1.{unique(size())}.AAAA")
        yield form(registration=secrets.token_hex(32), confirmation=f"v1.{secrets.token_hex(10)}.{unique(4000)}")
        yield form(registration=secrets.token_hex(32), finish=f"v1.{data_key}.{unique(40_000)}")
        yield form(registration=secrets.token_hex(32), confirmation="x", app=unique(size()))
        yield form(state=unique(size()), code=unique(1000), error=unique(1000))
        yield form(**{unique(40): unique(40) for _ in range(1500)})
        yield to_route(query=urlencode({"ticket": unique(6000)}))
        yield to_route(query=urlencode({unique(40): "x" for _ in range(60)}))
        yield to_route(content=b'{"account": "' + unique(size()).encode() + b'"}')
        yield to_route(content=b"[" * size())
        yield to_route(content=b"&" * size())
        yield to_route(headers={"Authorization": f"Bearer {unique(8000)}"})
        yield to_route(headers={"Authorization": f"Bearer {secrets.token_hex(32)}"})
        yield to_route(headers={"Authorization": f"Bearer {unique(500)}.{unique(500)}.{unique(500)}"})
        yield to_route(headers={"Cookie": f"__Host-mailbind={unique(6000)}"})
        yield to_route(headers={f"X-{unique(40)}": unique(200) for _ in range(20)})
        yield to_route(headers={"X-Correlation-Id": unique(64), "If-None-Match": unique(2000)})


def test_two_thousand_hostile_requests_leave_no_memory_behind(environment: Environment) -> None:
    random_one = random.Random(12)  # noqa: S311 - the same requests each time
    admin = {"Authorization": f"Bearer {environment.secrets.admin_token}"}
    with httpx.Client(base_url=environment.base_url, timeout=60, trust_env=False) as client:
        client.headers.update(admin)
        link = ask(client)["url"]
        # Some of the requests have a valid token.
        page = client.get(link).text
        del client.headers["Authorization"]
        data_key = page.partition('name="confirmation" value="v1.')[2][:20]
        hostile = zip(attacks(data_key, random_one), itertools.cycle(ROUTES), strict=False)

        def send(count: int) -> None:
            for attack, route in itertools.islice(hostile, count):
                method, path, content, headers = attack(route)
                cookie = {"Cookie": f"__Host-mailbind={secrets.token_urlsafe(32)}"}
                bearer = admin if random_one.random() < 0.2 else {}
                answer = client.request(
                    method, path, content=content, headers={**cookie, **bearer, **headers}, follow_redirects=False
                )
                assert answer.status_code < 500, (method, path[:100], answer.text)
                assert answer.content

        send(WARM_UP)
        before = resident(environment)
        send(HOSTILE)
        grown = resident(environment) - before

    assert grown <= MOST
