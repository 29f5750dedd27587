"""What tests of OAuth apps need: an app that callers may register, and how it is asked for and verified."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from infra.local.environment import APP_ID

type Register = Callable[..., str]

ARCHIVE, SECRET = "8e41f7b2-60cd-4f1a-9d35-2a7be90c64d8", "local-secret-of-contoso-archive"
CONTOSO = "7c3f1e52-5d1b-4a57-9a0e-2f6c7f1d9b10"
GOOD = {
    "name": "Contoso archive",
    "provider": "outlook",
    "enabled": True,
    "clientId": ARCHIVE,
    "clientSecret": SECRET,
    "authority": CONTOSO,
}


@pytest.fixture(name="register")
def registers_apps(api: httpx.Client) -> Iterator[Register]:
    """Registers an app as a caller does. After the test it is deleted, and changes to the settings' app are undone."""
    ids = [APP_ID]

    def new(**changes: Any) -> str:
        answer = api.post("/v1/oauth2", json={**GOOD, **changes})
        assert 200 == answer.status_code, answer.text
        assert {"id": answer.json()["id"], "created": True} == answer.json()
        ids.append(answer.json()["id"])
        return ids[-1]

    yield new
    for app in ids:
        api.delete(f"/v1/oauth2/{app}", params={"force": "true"})


def steps(api: httpx.Client, app: str, **body: Any) -> dict[str, dict[str, Any]]:
    answer = api.post(f"/v1/oauth2/{app}/verify", json=body)
    assert 200 == answer.status_code, answer.text
    assert answer.json()["ok"] is all(step["status"] != "fail" for step in answer.json()["steps"])
    return {step["id"]: step for step in answer.json()["steps"]}


def fields_of(answer: httpx.Response) -> set[str]:
    assert 400 == answer.status_code, answer.text
    return {field["key"] for field in answer.json()["fields"]}
