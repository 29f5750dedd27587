"""While storage is down, callers and people are told so, and afterwards nothing is lost."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from infra.local import azurite, parts
from infra.local.azurite import Azurite
from infra.local.environment import Environment, running_app
from infra.local.visitor import Visitor
from tests.environments import STILL, reset, trust
from tests.journey.conftest import Tenant, ask, bind, code_of, status
from tests.journey.test_callback import to_the_callback
from tests.patience import wait_until


@dataclass
class Kept:
    """An app whose storage keeps its data while it is stopped."""

    environment: Environment
    storage: Azurite
    folder: Path

    def stop(self) -> None:
        self.storage.stop()

    def start(self) -> None:
        port = urlsplit(self.storage.tables_url).port or 0
        self.storage = azurite.start(folder=self.folder, data=self.folder / "data", table_port=port)


@pytest.fixture(scope="module")
def keeping(shared_tenant: parts.Part, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("kept")
    storage = azurite.start(folder=folder, data=folder / "data")
    # The same people sign in for the next test's account.
    changes = {**STILL, "MAILBIND_OAUTH_CREDENTIAL_REUSE": "true"}
    with running_app(folder, storage, shared_tenant, changes=changes) as environment:
        kept = Kept(environment, storage, folder)
        yield kept
    kept.stop()


@pytest.fixture
def kept(keeping: Kept) -> Iterator[Kept]:
    """Storage runs again, and the tenant is reset, for the next test."""
    yield keeping
    if keeping.storage.part.process.poll() is not None:
        keeping.start()
    reset(keeping.environment.tenant)


def test_storage_outage_is_reported_and_loses_nothing(kept: Kept) -> None:
    environment = kept.environment
    with (
        callers(environment) as api,
        Visitor(environment.tenant.ready["caFile"]) as visitor,
    ):
        account = bind(api, visitor, "alice@contoso.example")
        asked = ask(api)
        page = visitor.go_to_microsoft(asked["url"])
        kept.stop()

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
        start = visitor.open(environment.base_url + "/")
        assert (200, True) == (start.status, "down" in start.text)

        kept.start()
        assert 200 == api.get(f"/v1/account/{account}/oauth-token").status_code
        assert "new" == visitor.follow(asked["url"], "bob@contoso.example").back["state"]


def test_storage_failure_after_redeeming_needs_no_second_sign_in(kept: Kept) -> None:
    environment = kept.environment
    with (
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
        kept.stop()

        page = coming.result()

        assert (503, "storage_unavailable") == (page.status, code_of(page))
        tenant.do("latency", endpoint="graph", milliseconds=0)
        still_down = visitor.submit(page.form_with("finish"))
        assert (503, "storage_unavailable") == (still_down.status, code_of(still_down))
        kept.start()
        assert "sign_in_unknown" == code_of(thief.submit(still_down.form_with("finish")))
        assert "new" == visitor.submit(still_down.form_with("finish")).back["state"]
        assert "completed" == status(api, asked)["status"]
        assert "new" == visitor.submit(still_down.form_with("finish")).back["state"]
        assert 1 == len(tenant.events("signed in"))
        assert 200 == api.get(f"/v1/account/{asked['account']}/oauth-token").status_code


def test_keep_checking_can_be_retried_after_a_storage_failure(kept: Kept) -> None:
    environment = kept.environment
    with (
        callers(environment) as api,
        Visitor(environment.tenant.ready["caFile"]) as visitor,
    ):
        asked = ask(api)
        page = visitor.follow(asked["url"], "mallory@contoso.example")
        kept.stop()

        down = visitor.submit(page.form_with("keep"))

        assert (503, "storage_unavailable") == (down.status, code_of(down))
        kept.start()
        assert 202 == visitor.submit(down.form_with("keep")).status
        assert "waitingForAccess" == status(api, asked)["status"]


@contextmanager
def tenant_of(environment: Environment) -> Iterator[Tenant]:
    ready = environment.tenant.ready
    with httpx.Client(base_url=ready["controlUrl"] + "/", verify=trust(ready["caFile"])) as client:
        yield Tenant(client)


def callers(environment: Environment) -> httpx.Client:
    headers = {"Authorization": f"Bearer {environment.secrets.admin_token}"}
    return httpx.Client(base_url=environment.base_url, headers=headers, timeout=60)
