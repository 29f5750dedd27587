"""What callers and people are told while storage is down, and that nothing is lost when it returns."""

from pathlib import Path
from urllib.parse import urlsplit

import httpx

from infra.local import azurite
from infra.local.environment import Environment, local_environment
from infra.local.visitor import Visitor
from tests.journey.conftest import STILL, ask, bind, code_of


def test_while_storage_is_down_everything_says_so_and_afterwards_nothing_is_lost(tmp_path: Path) -> None:
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


def callers(environment: Environment) -> httpx.Client:
    headers = {"Authorization": f"Bearer {environment.secrets.admin_token}"}
    return httpx.Client(base_url=environment.base_url, headers=headers, timeout=60)
