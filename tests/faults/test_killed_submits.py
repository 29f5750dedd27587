"""Hosts are killed in the middle of a submit. Whoever asks again with the same key learns the truth."""

import asyncio
import json
import random
from collections import Counter
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import azure.functions as func
import httpx

from infra.local import parts
from infra.local.environment import Environment
from shared.api import mail
from shared.bootstrap import build
from shared.http.audit import Audit
from shared.http.handling import ApiHandling
from shared.http.limits import RequestLimits
from shared.ports import App
from tests.conftest import MovedClock
from tests.environments import StartApp
from tests.faults.test_shared_backlog import KILLS, MAILBOX, another_host, bind_many, tenant_of
from tests.usecases.submits import OUTSIDE, at_once, found

GRAPH_MILLISECONDS = 40  # so that a submit takes long enough to be killed at any of its calls
LONGEST_SUBMIT_SECONDS = 0.5
LEASE_OVER_MINUTES = 4


def message(subject: str) -> dict[str, Any]:
    return {"to": [{"address": OUTSIDE}], "subject": subject, "text": "It is on its way."}


def headers(outside: Environment, key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {outside.secrets.admin_token}", "Idempotency-Key": key}


async def kill_in_a_submit(outside: Environment, victim: parts.Part, account: str, subject: str, after: float) -> None:
    url = f"{victim.ready['url']}/v1/account/{account}/submit"
    asked = asyncio.create_task(
        asyncio.to_thread(httpx.post, url, json=message(subject), headers=headers(outside, subject), timeout=30)
    )
    await asyncio.sleep(after)
    victim.process.kill()
    with suppress(httpx.HTTPError):
        await asked
    victim.stop()


async def ask_again(app: App, outside: Environment, account: str, subject: str) -> tuple[int, Any]:
    """The same request to an instance whose clock is ahead, because the killed one had a lease of three minutes."""
    audit, limits = Audit(app.audit, app.clock, app.entropy), RequestLimits(app.rate_limit.count, 0)
    operation = next(each for each in mail.resource.operations if each.path.endswith("{account}/submit"))
    request = func.HttpRequest(
        "POST",
        "http://127.0.0.1/",
        headers={**headers(outside, subject), "Content-Type": "application/json"},
        route_params={"account": account},
        body=json.dumps(message(subject)).encode(),
    )
    response = await ApiHandling(app, audit, limits).handler_of(operation)(request)
    return response.status_code, json.loads(response.get_body())


async def test_killed_hosts_send_no_message_twice(start_app: StartApp, tmp_path: Path) -> None:
    chance, clock, ends = random.Random(11), MovedClock(), Counter[str]()  # noqa: S311 - to be repeatable
    with start_app() as outside, tenant_of(outside) as tenant:
        app = at_once(build(outside.settings, clock))
        account = (await bind_many(app, tenant, 1))[0]
        tenant.do("access", person=f"{account}@contoso.example", mailbox=MAILBOX, fullAccess=True, sendAs=True)
        tenant.do("latency", endpoint="graph", milliseconds=GRAPH_MILLISECONDS)
        subjects = [f"order-of-a-killed-host-{number}" for number in range(KILLS)]
        for number, subject in enumerate(subjects):
            victim = another_host(outside, tmp_path, f"victim{number}")
            await kill_in_a_submit(outside, victim, account, subject, chance.uniform(0.01, LONGEST_SUBMIT_SECONDS))
        clock.forward(minutes=LEASE_OVER_MINUTES)

        for subject in subjects:
            (status, told), again = [await ask_again(app, outside, account, subject) for _ in range(2)]
            is_sent = status == HTTPStatus.OK
            copies = await found(app, account, "sentitems", subject), await found(app, account, "drafts", subject)
            assert copies == ((1, 0) if is_sent else (0, 1)), (subject, told)
            assert is_sent or told["code"] == "outcome_unknown"
            assert again[0] == status
            ends["unknown" if not is_sent else told["idempotency"]["status"]] += 1
        await app.close()
    print(dict(ends))  # noqa: T201 - the numbers that the project reports
    assert ends["unknown"] < ends.total() == KILLS
