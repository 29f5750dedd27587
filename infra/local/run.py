"""`make run`: starts the local parts, the app and a sample app, and narrates until Ctrl-C."""

import argparse
import os
import shlex
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from infra.local.caller import PERSON, SUPPORT, EventReceiver
from infra.local.environment import Environment, Ports, Secrets, local_environment, write_private
from infra.local.narration import NameLookup, describe, describe_event, follow
from infra.local.parts import ROOT, PartError
from infra.local.sample_app.app import sample_app
from infra.local.sample_app.server import SampleServer

MAX_PORT = 65535
PORT_HINT = "Ports come from MAILBIND_PORT, MAILBIND_TENANT_PORT and MAILBIND_AZURITE_PORT; 0 picks a free one."
# Mail by Graph, and by IMAP, POP and SMTP; and a person who connected one mailbox can connect another one.
CHANGES = {"MAILBIND_OAUTH_BASE_SCOPES": "api,imap", "MAILBIND_OAUTH_CREDENTIAL_REUSE": "true"}
say = partial(print, flush=True)

WELCOME = """
Mailbind runs at {baseUrl}, beside its own storage and a small Microsoft 365 tenant. Ctrl-C stops everything.

  1. Open this link, and continue:
     {link}
  2. Sign in as {person}. The local tenant has its own certificate, so the browser warns you once.
     (Chrome, Edge or Firefox: Safari keeps no secure cookies of a page that comes over http.)
  3. Paste these lines into another terminal. The last one fetches a token for {mailbox}:
     export BASE={baseUrl} TOKEN={apiToken}
     export GRAPH={tenantUrl}/v1.0 CONTROL={controlUrl} CURL_CA_BUNDLE={caFile}
     curl -H "Authorization: Bearer $TOKEN" "$BASE/v1/account/{account}/oauth-token"

  {baseUrl}/
     The start page leads to the sign-in again.
  {baseUrl}/docs
     The API. README.md and docs have more commands for that terminal.
  {controlUrl}
     The controls of the local tenant: its people, mailboxes and failures. docs/break-it.md has commands to break it.
"""


def main() -> None:
    """Run until Ctrl-C or SIGTERM. Exits with a message if a part cannot start or ends by itself."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.run", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / ".local", help="for data, secrets and logs (.local)")
    folder = parser.parse_args().folder.resolve()
    # A shell starts background jobs with SIGINT ignored. Here Ctrl-C and kill both end the run.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.default_int_handler)
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        say("Starting ...")
        run(folder, read_ports(os.environ))
    except KeyboardInterrupt:
        say("\nStopped.")
    except (PartError, OSError, httpx.HTTPError) as error:
        sys.exit(f"make run: {error}\n{PORT_HINT}")


def read_ports(values: Mapping[str, str]) -> Ports:
    """The ports from the environment variables."""
    names = {
        "app": ("MAILBIND_PORT", 7071),
        "tenant": ("MAILBIND_TENANT_PORT", 7072),
        "tables": ("MAILBIND_AZURITE_PORT", 10002),
    }
    ports = {part: values.get(name, "").strip() or str(default) for part, (name, default) in names.items()}
    if invalid := [names[part][0] for part, port in ports.items() if not (port.isdecimal() and int(port) <= MAX_PORT)]:
        sys.exit(f"make run: {', '.join(invalid)} must be a port number")
    return Ports(**{part: int(port) for part, port in ports.items()})


def run(folder: Path, ports: Ports) -> None:
    """Start everything, print the addresses, and narrate. Raises PartError if a part ends by itself."""
    app_secrets, run_file = Secrets.from_file(folder / "secrets.json"), folder / "run.json"
    with (
        SampleServer() as server,
        local_environment(
            folder,
            app_secrets=app_secrets,
            ports=ports,
            data=folder / "azurite",
            changes={**CHANGES, "MAILBIND_SAMPLE_APP": server.origin},
        ) as environment,
        sample_app(environment, server.origin, folder / "sample-app.json") as server.app,
        server.serving(),
    ):
        server.app.subscribe(server.webhook_url)
        try:
            shown = addresses(environment, server.app.sign_in_link(SUPPORT))
            write_private(run_file, shown)
            pasted = shown | {"caFile": shlex.quote(shown["caFile"])}
            say(WELCOME.format(person=PERSON, mailbox=SUPPORT.email, account=SUPPORT.account, **pasted))
            say(f"Logs and data stay in {folder.name}/; its run.json has these addresses for programs. What happens:")
            Narrator(environment, server.app.receiver, len(server.app.receiver.events)).narrate()
        finally:
            run_file.unlink(missing_ok=True)


def addresses(environment: Environment, link: str) -> dict[str, str]:
    """The content of run.json: what a program needs to use this environment."""
    ready = environment.tenant.ready
    return {
        "baseUrl": environment.base_url,
        "apiToken": environment.secrets.admin_token,
        "link": link,
        "tenantUrl": ready["url"],
        "controlUrl": ready["controlUrl"],
        "caFile": ready["caFile"],
        "imapServer": ready["imapServer"],
        "tablesUrl": environment.storage.tables_url,
    }


@dataclass
class Narrator:
    """Prints a sentence for each thing that happens, and for each event after the first `printed_events` ones."""

    environment: Environment
    receiver: EventReceiver
    printed_events: int

    def narrate(self) -> None:
        """Narrate until Ctrl-C. Raises PartError if a part ends by itself."""
        names = NameLookup(self.environment).name

        def pause() -> None:
            for part in (self.environment.storage.part, self.environment.tenant, self.environment.host):
                part.check()
            for event in self.receiver.events[self.printed_events :]:
                self.printed_events += 1
                _tell(time.strftime("%H:%M:%S", time.gmtime()), describe_event(event, names))

        for line in follow(self.environment.host.log, pause):
            if sentence := describe(line, names):
                _tell(line[11:19], sentence)


def _tell(moment: str, sentence: str) -> None:
    say(f"  {moment} UTC  {sentence}")


if __name__ == "__main__":
    main()
