"""While storage is down, callers and people are told so, and afterwards nothing is lost."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from infra.local import azurite
from infra.local.environment import Environment, local_environment
from infra.local.visitor import Visitor
from tests.environments import STILL, trust
from tests.journey.conftest import Tenant, ask, bind, code_of, status
from tests.journey.test_callback import to_the_callback
from tests.patience import wait_until


def test_storage_outage_is_reported_and_loses_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with (
        local_environment(tmp_path, data=data, changes=STILL) as environment,
        callers(environment) as api,
        Visitor(environment.tenant.ready["caFile"]) as visitor,
    ):
        account = bind(api, visitor, "alice@contoso.example")
        asked = ask(api)
        page = visitor.go_to_microsoft(asked["url"])
        port = urlsplit(environment.storage.tables_url).port or 0
        environment.storage.stop()

        for method, path in [
            ("POST", "/v1/authentication/form"),
            ("GET", f"/v1/account/{account}/oauth-token"),
            ("GET", "/v1/accounts"),
            ("DELETE", f"/v1/account/{account}"),
            ("GET", "/health"),
        ]:
            answer = api.request(method, path, json={"redirectUrl": "https://a.example"} if method == "POST" else None)
            assert 503 == answer.status_code, path
            assert int(answer.headers["retry-after"]) > 0
        told = visitor.sign_in(page, "bob@contoso.example")
        assert (503, "storage_unavailable") == (told.status, code_of(told))
        assert told.headers["retry-after"]

        again = azurite.start(folder=tmp_path / "again", data=data, table_port=port)
        try:
            assert 200 == api.get(f"/v1/account/{account}/oauth-token").status_code
            assert "new" == visitor.follow(asked["url"], "bob@contoso.example").back["state"]
        finally:
            again.stop()


def test_storage_failure_after_redeeming_needs_no_second_sign_in(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with (
        local_environment(tmp_path, data=data, changes=STILL) as environment,
        callers(environment) as api,
        tenant_of(environment) as tenant,
        Visitor(environment.tenant.ready["caFile"]) as visitor,
        Visitor(environment.tenant.ready["caFile"]) as thief,
        ThreadPoolExecutor(1) as pool,
    ):
        asked = ask(api)
        form = to_the_callback(visitor, asked["url"], "alice@contoso.example")
        tenant.do("latency", endpoint="graph", milliseconds=2000)
        coming = pool.submit(visitor.submit, form)
        wait_until(lambda: tenant.events("code redeemed"))
        port = urlsplit(environment.storage.tables_url).port or 0
        environment.storage.stop()

        page = coming.result()

        assert (503, "storage_unavailable") == (page.status, code_of(page))
        tenant.do("latency", endpoint="graph", milliseconds=0)
        still_down = visitor.submit(page.form_with("finish"))
        assert (503, "storage_unavailable") == (still_down.status, code_of(still_down))
        again = azurite.start(folder=tmp_path / "again", data=data, table_port=port)
        try:
            assert "sign_in_unknown" == code_of(thief.submit(still_down.form_with("finish")))
            assert "new" == visitor.submit(still_down.form_with("finish")).back["state"]
            assert "completed" == status(api, asked)["status"]
            assert "new" == visitor.submit(still_down.form_with("finish")).back["state"]
            assert 1 == len(tenant.events("signed in"))
            assert 200 == api.get(f"/v1/account/{asked['account']}/oauth-token").status_code
        finally:
            again.stop()


def test_keep_checking_can_be_retried_after_a_storage_failure(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with (
        local_environment(tmp_path, data=data, changes=STILL) as environment,
        callers(environment) as api,
        Visitor(environment.tenant.ready["caFile"]) as visitor,
    ):
        asked = ask(api)
        page = visitor.follow(asked["url"], "mallory@contoso.example")
        port = urlsplit(environment.storage.tables_url).port or 0
        environment.storage.stop()

        down = visitor.submit(page.form_with("keep"))

        assert (503, "storage_unavailable") == (down.status, code_of(down))
        again = azurite.start(folder=tmp_path / "again", data=data, table_port=port)
        try:
            assert 202 == visitor.submit(down.form_with("keep")).status
            assert "waitingForAccess" == status(api, asked)["status"]
        finally:
            again.stop()


@contextmanager
def tenant_of(environment: Environment) -> Iterator[Tenant]:
    ready = environment.tenant.ready
    with httpx.Client(base_url=ready["controlUrl"] + "/", verify=trust(ready["caFile"])) as client:
        yield Tenant(client)


def callers(environment: Environment) -> httpx.Client:
    headers = {"Authorization": f"Bearer {environment.secrets.admin_token}"}
    return httpx.Client(base_url=environment.base_url, headers=headers, timeout=60)
