"""`make run`: starts the local parts and the app, registers a sample account, and tells what happens until Ctrl-C."""

import argparse
import os
import signal
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import httpx

from infra.local.callers_page import callers_page
from infra.local.environment import APP_ID, Environment, Ports, Secrets, local_environment, write_private
from infra.local.narration import follow, tell
from infra.local.parts import ROOT, PartError

MOST = 65535
ACCOUNT = "shared"
MAILBOX = "support@contoso.example"
PERSON = "alice@contoso.example"
PORT_HINT = "Ports come from MAILBIND_PORT, MAILBIND_TENANT_PORT and MAILBIND_AZURITE_PORT; 0 picks a free one."
# So that everything can be tried: mail by Graph, and by IMAP, POP and SMTP.
BOTH = {"MAILBIND_OAUTH_BASE_SCOPES": "api,imap"}
say = partial(print, flush=True)

WELCOME = """
Mailbind runs at {base_url}, beside its own storage and a small Microsoft 365 tenant. Ctrl-C stops everything.

  1. Open this link, and continue:
     {link}
  2. Sign in as {person}. The local tenant made its own certificate, so the browser warns you once.
  3. Fetch a token for {mailbox}:
     curl -H "Authorization: Bearer {token}" {base_url}/v1/account/{account}/oauth-token
"""


def main() -> None:
    """Run until Ctrl-C or SIGTERM; ends with a message when something cannot start or does not last."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.run", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / ".local", help="for data, secrets and logs (.local)")
    folder = parser.parse_args().folder.resolve()
    # A shell starts what is in its background with SIGINT ignored; Ctrl-C or kill, both end this.
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
    """Ports from the environment."""
    names = {
        "app": ("MAILBIND_PORT", 7071),
        "tenant": ("MAILBIND_TENANT_PORT", 7072),
        "tables": ("MAILBIND_AZURITE_PORT", 10002),
    }
    found = {part: values.get(name, "").strip() or str(default) for part, (name, default) in names.items()}
    if wrong := [names[part][0] for part, port in found.items() if not (port.isdecimal() and int(port) <= MOST)]:
        sys.exit(f"make run: {', '.join(wrong)} must be a port number")
    return Ports(**{part: int(port) for part, port in found.items()})


def run(folder: Path, ports: Ports) -> None:
    """Start everything, say where it is, and tell the story. Raises PartError when a part ends by itself."""
    kept, run_file = Secrets.kept(folder / "secrets.json"), folder / "run.json"
    with (
        callers_page() as redirect_url,
        local_environment(folder, kept=kept, ports=ports, data=folder / "azurite", changes=BOTH) as environment,
    ):
        link = start_registration(environment, redirect_url)["url"]
        try:
            write_private(run_file, addresses(environment, link))
            shown = {"base_url": environment.base_url, "link": link, "token": kept.admin_token}
            say(WELCOME.format(person=PERSON, mailbox=MAILBOX, account=ACCOUNT, **shown))
            say(f"Logs and data stay in {folder.name}/; its run.json has these addresses for programs. What happens:")
            narrate(environment)
        finally:
            run_file.unlink(missing_ok=True)


def start_registration(environment: Environment, redirect_url: str) -> dict[str, str]:
    """Ask Mailbind for a sign-in link, as any caller would: `url`, `registration`, `expires`."""
    answer = httpx.post(
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
    return dict(answer.raise_for_status().json())


def addresses(environment: Environment, link: str) -> dict[str, str]:
    """What a program needs to take part, as in run.json."""
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
    """Tell each event until Ctrl-C. Raises PartError when a part ends by itself."""

    def check() -> None:
        for part in (environment.storage.part, environment.tenant, environment.host):
            part.check()

    for line in follow(environment.host.log, check):
        if sentence := tell(line):
            say(f"  {line[11:19]} UTC  {sentence}")


if __name__ == "__main__":
    main()
