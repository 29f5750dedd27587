"""A local run for each file, started as `make run` starts it, with the terminal of somebody who tries the examples."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.visitor import Visitor
from tests.local.test_run import make_run, started, wait_for_sentence

ALICE = "alice@contoso.example"
# Each answer's status goes to standard error. https://curl.se/docs/manpage.html#-w
CURLRC = r"""silent
show-error
write-out = "%{stderr}\nanswered %{http_code} %{method} %{url}\n"
"""
ANSWERED = re.compile(r"(?m)^answered (\d+) (.*)$")


@dataclass(frozen=True)
class Output:
    """What commands printed, and for each call of curl its status and what was called."""

    text: str
    statuses: list[tuple[int, str]]
    errors: str

    @property
    def documents(self) -> list[Any]:
        """The JSON documents that it consists of, one after the other."""
        decoder, found, rest = json.JSONDecoder(), [], self.text.strip()
        while rest:
            document, end = decoder.raw_decode(rest)
            found.append(document)
            rest = rest[end:].lstrip()
        return found


@dataclass(frozen=True)
class LocalRun:
    """A local run. `variables` are those that it prints for the terminal."""

    variables: Mapping[str, str]
    link: str
    folder: Path

    def shell(self, commands: str) -> Output:
        """Run commands in a shell with the variables."""
        environment = {**os.environ, **self.variables, "CURL_HOME": str(self.folder), "no_proxy": "127.0.0.1"}
        done = subprocess.run(  # noqa: S603 - the examples of the documentation
            ["/usr/bin/env", "bash", "-c", commands],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            errors="replace",  # an attachment may be anything
            timeout=60,
            check=False,
        )
        statuses = [(int(status), call) for status, call in ANSWERED.findall(done.stderr)]
        return Output(done.stdout, statuses, ANSWERED.sub("", done.stderr).strip())

    def client(self) -> httpx.Client:
        """An administrator's client of the API."""
        headers = {"Authorization": f"Bearer {self.variables['TOKEN']}"}
        return httpx.Client(base_url=self.variables["BASE"], headers=headers, timeout=30, trust_env=False)

    def sign_in(self, link: str) -> None:
        """Open a link and sign in as Alice."""
        with Visitor(self.variables["CURL_CA_BUNDLE"]) as browser:
            page = browser.follow(link, ALICE)
        assert 200 == page.status, page.text[-600:]

    def bind(self) -> None:
        """Have the tenant as it was at the start, and the one account `shared`, bound a moment ago by Alice."""
        assert "" == self.shell('curl -X POST "$CONTROL/reset"').errors
        form = {"account": "shared", "email": "support@contoso.example", "delegated": True}
        with self.client() as api:
            for account in api.get("/v1/accounts").json()["accounts"]:
                api.delete(f"/v1/account/{account['account']}").raise_for_status()
            wish = {**form, "redirectUrl": "https://myapp.example/", "type": "AAABiCtT7XUAAAAF"}
            started_form = api.post("/v1/authentication/form", json=wish).raise_for_status()
        self.sign_in(started_form.json()["url"])


@pytest.fixture(scope="module")
def local_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRun]:
    folder = tmp_path_factory.mktemp("run")
    (folder / ".curlrc").write_text(CURLRC)
    with make_run(folder) as process:
        run = started(folder, process)
        wait_for_sentence(folder, "What happens:")
        exports = re.findall(r"(?m)^ *export (.*)$", (folder / "terminal").read_text())
        variables = dict(word.split("=", 1) for line in exports for word in shlex.split(line))
        yield LocalRun(variables, run["link"], folder)
