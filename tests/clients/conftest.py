"""The app over https, because Graph's JavaScript client sends tokens over https only, and a mailbox for each client."""

import os
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from infra.local.azurite import Azurite
from infra.local.environment import Environment, Secrets, app_settings, start_host
from infra.local.parts import ROOT, Part, running
from infra.local.tenant.keys import load_authority
from infra.local.visitor import Visitor
from tests.environments import STILL, reset, trust

SUPPORT = "support@contoso.example"
MAIL_SCOPES = ["mail:read", "mail:write", "mail:send"]


@dataclass(frozen=True)
class MailCaller:
    """A caller with a token for the mail of one account, and what its programs need to know."""

    variables: Mapping[str, str]
    control: httpx.Client
    mail: httpx.Client

    def run(self, command: Sequence[str], folder: Path = ROOT) -> dict[str, Any]:
        """The JSON that a program prints."""
        done = subprocess.run(  # noqa: S603 - programs of these tests
            command,
            env={**os.environ, **self.variables},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert 0 == done.returncode, done.stderr
        return dict(msgspec.json.decode(done.stdout))

    def subjects(self, folder: str) -> list[str]:
        """The subjects of the messages in a folder, newest first."""
        query = {"$select": "subject", "$orderby": "receivedDateTime desc", "$top": "50"}
        answer = self.mail.get(f"mailFolders/{folder}/messages", params=query).raise_for_status()
        return [message["subject"] for message in answer.json()["value"]]

    def events(self, what: str) -> list[dict[str, Any]]:
        """The tenant's journal since the account was bound."""
        events = self.control.get("events").raise_for_status().json()["events"]
        return [event for event in events if event["what"] == what]


@pytest.fixture(scope="session")
def secure_environment(
    empty_accounts: Iterator[Azurite], shared_tenant: Part, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Environment]:
    folder, storage, secrets = tmp_path_factory.mktemp("app"), next(empty_accounts), Secrets.fresh()
    authority = load_authority(Path(shared_tenant.ready["caFile"]).parent)
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "app.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        base_url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        settings = app_settings(storage, shared_tenant.ready, base_url, secrets) | STILL
        host = start_host(ROOT, listener, settings, folder, certificate=folder / "app.pem")
    with running(host):
        yield Environment(storage, shared_tenant, host, settings, secrets, base_url)


@pytest.fixture
def mail_caller(secure_environment: Environment) -> Iterator[MailCaller]:
    """A caller of support@, which a new person has just bound."""
    tenant, base = secure_environment.tenant.ready, secure_environment.base_url
    administrator = {"Authorization": f"Bearer {secure_environment.secrets.admin_token}"}
    verify = trust(tenant["caFile"])
    with (
        httpx.Client(base_url=base, headers=administrator, verify=verify, timeout=30) as api,
        httpx.Client(base_url=tenant["controlUrl"], verify=verify, timeout=30) as control,
    ):
        _bind(api, control, tenant["caFile"])
        issued = api.post("/v1/token", json={"description": "a client", "scopes": MAIL_SCOPES, "account": "shared"})
        token = issued.raise_for_status().json()["token"]
        control.delete("events").raise_for_status()
        ca_file = tenant["caFile"]
        trusted = {"SSL_CERT_FILE": ca_file, "NODE_EXTRA_CA_CERTS": ca_file}
        variables = {"BASE": base, "TOKEN": token, "CONTROL": tenant["controlUrl"], **trusted}
        headers = {"Authorization": f"Bearer {token}"}
        mailbox = f"{base}/v1.0/users/{SUPPORT}"
        with httpx.Client(base_url=mailbox, headers=headers, verify=verify, timeout=30) as mail:
            yield MailCaller(variables, control, mail)
        api.delete("/v1/account/shared").raise_for_status()
    reset(secure_environment.tenant)


def _bind(api: httpx.Client, control: httpx.Client, ca_file: str) -> None:
    """Bind the account `shared` to support@ by a new person who may read and send its mail."""
    person = control.post("person", json={"create": 1}).raise_for_status().json()["people"][0]
    access = {"person": person, "mailbox": SUPPORT, "fullAccess": True, "sendAs": True}
    control.post("access", json=access).raise_for_status()
    form = {"account": "shared", "email": SUPPORT, "delegated": True, "redirectUrl": "https://myapp.example/done"}
    link = api.post("/v1/authentication/form", json=form).raise_for_status().json()["url"]
    with Visitor(ca_file) as browser:
        page = browser.follow(link, person)
    assert 200 == page.status, page.text
