"""`make run`: starts the local parts and the app, registers a sample account, and narrates until Ctrl-C."""

import argparse
import os
import signal
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import httpx

from infra.local.caller import return_page
from infra.local.environment import APP_ID, Environment, Ports, Secrets, local_environment, write_private
from infra.local.narration import describe, follow
from infra.local.parts import ROOT, PartError

MAX_PORT = 65535
ACCOUNT = "shared"
MAILBOX = "support@contoso.example"
PERSON = "alice@contoso.example"
PORT_HINT = "Ports come from MAILBIND_PORT, MAILBIND_TENANT_PORT and MAILBIND_AZURITE_PORT; 0 picks a free one."
# Mail by Graph, and by IMAP, POP and SMTP.
ALL_SCOPES = {"MAILBIND_OAUTH_BASE_SCOPES": "api,imap"}
say = partial(print, flush=True)

WELCOME = """
Mailbind runs at {base_url}, beside its own storage and a small Microsoft 365 tenant. Ctrl-C stops everything.

  1. Open this link, and continue:
     {link}
  2. Sign in as {person}. The local tenant has its own certificate, so the browser warns you once.
     (Chrome, Edge or Firefox: Safari keeps no secure cookies of a page that comes over http.)
  3. Fetch a token for {mailbox}:
     curl -H "Authorization: Bearer {token}" {base_url}/v1/account/{account}/oauth-token
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
        return_page() as redirect_url,
        local_environment(
            folder, app_secrets=app_secrets, ports=ports, data=folder / "azurite", changes=ALL_SCOPES
        ) as environment,
    ):
        link = start_registration(environment, redirect_url)["url"]
        try:
            write_private(run_file, addresses(environment, link))
            addresses_shown = {"base_url": environment.base_url, "link": link, "token": app_secrets.admin_token}
            say(WELCOME.format(person=PERSON, mailbox=MAILBOX, account=ACCOUNT, **addresses_shown))
            say(f"Logs and data stay in {folder.name}/; its run.json has these addresses for programs. What happens:")
            narrate(environment)
        finally:
            run_file.unlink(missing_ok=True)


def start_registration(environment: Environment, redirect_url: str) -> dict[str, str]:
    """Ask Mailbind for a sign-in link, as a caller. Returns `url`, `registration` and `expires`."""
    response = httpx.post(
        f"{environment.base_url}/v1/authentication/form",
        headers={"Authorization": f"Bearer {environment.secrets.admin_token}"},
        json={
            "account": ACCOUNT,
            "name": "Shared Account",
            "email": MAILBOX,
            "delegated": True,
            "redirectUrl": redirect_url,
            "type": APP_ID,
        },
        trust_env=False,
        timeout=30,
    )
    return dict(response.raise_for_status().json())


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


def narrate(environment: Environment) -> None:
    """Print a sentence for each event until Ctrl-C. Raises PartError if a part ends by itself."""

    def check() -> None:
        for part in (environment.storage.part, environment.tenant, environment.host):
            part.check()

    for line in follow(environment.host.log, check):
        if sentence := describe(line):
            say(f"  {line[11:19]} UTC  {sentence}")


if __name__ == "__main__":
    main()
