"""`make demo`: does the whole journey by itself on free ports and in memory, and tells each step."""

import base64
import re
import secrets
import ssl
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from infra.local.callers_events import CallersEvents, callers_events
from infra.local.environment import Environment, local_environment
from infra.local.parts import PartError
from infra.local.run import ACCOUNT, MAILBOX, PERSON, start_registration
from infra.local.visitor import Visitor

CALLER = "https://myapp.example/account/settings.php"
# A grant whose token was just handed out is refreshed in the second half of the token's life.
TOKEN_SECONDS = 12
LONG_TOKEN_SECONDS = 3600
EVERY_TWO_SECONDS = "*/2 * * * * *"
SOON = {"REFRESH_SCHEDULE": EVERY_TWO_SECONDS, "DELIVER_SCHEDULE": EVERY_TWO_SECONDS}
PATIENCE_SECONDS = 30


class DemoError(Exception):
    """A step did not do what it should have done."""


@dataclass(frozen=True, slots=True)
class Demo:
    """The journey's steps, in order; each returns what the next one needs and prints what it did."""

    environment: Environment
    api: httpx.Client
    tenant: httpx.Client

    def subscribe(self, events: CallersEvents) -> None:
        """Have events sent to the caller, which takes a signed ping first."""
        answer = self.api.post("/v1/webhooks", json={"url": events.url, "secret": events.secret})
        expect(answer.is_success, f"POST /v1/webhooks answered {answer.status_code}: {answer.text[:300]}")
        say("A caller subscribed to events.", f"{events.url} took a signed {events.took[0]['event']}")

    def hear(self, events: CallersEvents) -> None:
        """Wait until the caller was told that the mailbox is bound."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while "accountInitialized" not in (told := [event["event"] for event in events.took]):
            expect(time.monotonic() < deadline, f"no event within {PATIENCE_SECONDS} s but {told}")
            time.sleep(0.1)
        say("The caller was told by signed events.", ", ".join(told[1:]))

    def ask(self) -> dict[str, str]:
        """Start a registration, as a caller."""
        started = start_registration(self.environment, CALLER)
        say(f"A caller asked for a sign-in link for {MAILBOX}.", started["url"])
        return started

    def sign_in(self, link: str) -> None:
        """Go through the pages, as the person."""
        with Visitor(self.environment.tenant.ready["caFile"]) as person:
            picker = person.go_to_microsoft(link)
            say("The person opened it and continued to Microsoft.", "the page names the mailbox and who asked")
            page = person.sign_in(picker, PERSON)
        expect(page.refresh is not None, f"the sign-in ended with {page.status}: {page.text.strip()[:300]}")
        say(f"Signed in as {PERSON}; the mailbox opened with the new token and is bound.", f"back to {page.refresh}")

    def see_completed(self, registration: str) -> None:
        """Ask after the registration, as a flow that waits."""
        found = self._get(f"/v1/authentication/form/{registration}")
        expect(found["status"] == "completed", f"the registration is {found['status']}")
        say("The caller asked how it stands.", f"{found['status']}: account {found['account']} is {found['state']}")

    def hand_out(self) -> dict[str, Any]:
        """Fetch a token, as the caller."""
        token = self._get(f"/v1/account/{ACCOUNT}/oauth-token")
        cached = "already there" if token["cached"] else "fresh from Microsoft"
        say(
            f"The caller fetched a token: {token['user']} opens {token['email']}.",
            f"{cached}, until {token['expires']}",
        )
        return token

    def read_mailbox(self, token: dict[str, Any]) -> None:
        """Use the token at Graph."""
        headers = {"Authorization": f"Bearer {token['accessToken']}"}
        answer = self.tenant.get(f"/v1.0/users/{MAILBOX}/mailFolders/inbox", headers=headers)
        expect(answer.is_success, f"Graph answered {answer.status_code}: {answer.text[:300]}")
        say("The token opens the mailbox at Microsoft Graph.", f"folder {answer.json()['displayName']}")

    def wait_for_timer(self) -> None:
        """Wait until the timer has refreshed the grant ahead of its token's end."""
        deadline, log = time.monotonic() + PATIENCE_SECONDS, self.environment.host.log
        while not re.search(r" tick done .*refreshed=[1-9]", log.read_text()):
            expect(time.monotonic() < deadline, f"no refresh by the timer within {PATIENCE_SECONDS} s")
            time.sleep(0.2)
        say("The timer refreshed the grant, ahead of its token's end.", "nobody had to ask")

    def live(self, seconds: int) -> None:
        """Tell the tenant how long access tokens live from now on."""
        self.tenant.post("/control/lifetimes", json={"accessTokenSeconds": seconds}).raise_for_status()

    def _get(self, path: str) -> dict[str, Any]:
        answer = self.api.get(path)
        expect(answer.is_success, f"GET {path} answered {answer.status_code}: {answer.text[:300]}")
        return dict(answer.json())


def main() -> None:
    """Run the demo; at the first failure, say what failed and exit with 1."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mailbind-demo-") as folder:
        try:
            with local_environment(Path(folder), changes=SOON) as environment:
                say("Azurite, a Microsoft 365 tenant and Mailbind run on this computer.", environment.base_url)
                play(environment)
        except (DemoError, PartError, OSError, LookupError, httpx.HTTPError) as error:
            sys.exit(f"✗ {error}")
    print(f"Done in {time.monotonic() - began:.0f} s, and all of it is stopped. `make run` lets you click it yourself.")


def play(environment: Environment) -> None:
    """Do the journey. Raises DemoError at the first step that fails."""
    token = {"Authorization": f"Bearer {environment.secrets.admin_token}"}
    ready = environment.tenant.ready
    trust = ssl.create_default_context(cafile=ready["caFile"])
    with (
        httpx.Client(base_url=environment.base_url, headers=token, timeout=30, trust_env=False) as api,
        httpx.Client(base_url=ready["url"], verify=trust, timeout=30, trust_env=False) as tenant,
        callers_events("whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()) as events,
    ):
        demo = Demo(environment, api, tenant)
        demo.live(TOKEN_SECONDS)
        demo.subscribe(events)
        started = demo.ask()
        demo.sign_in(started["url"])
        demo.see_completed(started["registration"])
        demo.hear(events)
        demo.read_mailbox(demo.hand_out())
        demo.live(LONG_TOKEN_SECONDS)
        demo.wait_for_timer()
        expect(demo.hand_out()["cached"], "the token after the timer's refresh was not there already")


def say(what: str, detail: str) -> None:
    """Print a step that was done."""
    print(f"✓ {what}\n    {detail}", flush=True)


def expect(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Raise DemoError unless it holds."""
    if not holds:
        raise DemoError(otherwise)


if __name__ == "__main__":
    main()
