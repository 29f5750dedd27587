"""`make demo`: performs the whole journey on free ports and in memory, and prints each step."""

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

from infra.local.caller import PERSON, SUPPORT, EventReceiver, event_receiver, mailbind_client, start_registration
from infra.local.environment import Environment, local_environment
from infra.local.parts import PartError
from infra.local.visitor import Visitor

REDIRECT_URL = "https://myapp.example/account/settings.php"
# After a hand-out, the timer refreshes the grant in the second half of the token's life.
SHORT_TOKEN_SECONDS = 12
LONG_TOKEN_SECONDS = 3600
EVERY_TWO_SECONDS = "*/2 * * * * *"
FAST_TIMERS = {"REFRESH_SCHEDULE": EVERY_TWO_SECONDS, "DELIVER_SCHEDULE": EVERY_TWO_SECONDS}
STEP_TIMEOUT_SECONDS = 30
MAIL = f"/v1/account/{SUPPORT.account}"
THREAD_MESSAGES = 2  # a message of the inbox that nobody has answered, and the reply


class DemoError(Exception):
    """A step failed."""


@dataclass(frozen=True, slots=True)
class Demo:
    """The steps of the journey. Each step prints what it did and returns what a later step needs."""

    environment: Environment
    api: httpx.Client
    tenant: httpx.Client

    def subscribe(self, receiver: EventReceiver) -> None:
        """Create a webhook. Mailbind sends it a signed ping first."""
        response = self.api.post("/v1/webhooks", json={"url": receiver.url, "secret": receiver.secret})
        check(response.is_success, f"POST /v1/webhooks answered {response.status_code}: {response.text[:300]}")
        report("A caller subscribed to events.", f"{receiver.url} received a signed {receiver.names[0]}")

    def wait_for_events(self, receiver: EventReceiver) -> None:
        """Wait for the event that the mailbox is bound."""
        deadline = time.monotonic() + STEP_TIMEOUT_SECONDS
        while "accountInitialized" not in receiver.names:
            message = f"no accountInitialized within {STEP_TIMEOUT_SECONDS} s, only {receiver.names}"
            check(time.monotonic() < deadline, message)
            time.sleep(0.1)
        report("The caller received signed events.", ", ".join(receiver.names[1:]))

    def start_registration(self) -> dict[str, str]:
        """Start a registration, as a caller."""
        registration = start_registration(self.api, SUPPORT, REDIRECT_URL)
        report(f"A caller asked for a sign-in link for {SUPPORT.email}.", registration["url"])
        return registration

    def sign_in(self, link: str) -> None:
        """Go through the pages, as the person."""
        with Visitor(self.environment.tenant.ready["caFile"]) as person:
            picker = person.go_to_microsoft(link)
            report("The person opened it and continued to Microsoft.", "the page names the mailbox and who asked")
            page = person.sign_in(picker, PERSON)
        check(page.refresh is not None, f"the sign-in ended with {page.status}: {page.text.strip()[:300]}")
        report(f"Signed in as {PERSON}; the mailbox opened with the new token and is bound.", f"back to {page.refresh}")

    def check_registration(self, registration_id: str) -> None:
        """Read the registration, as a waiting flow does. It must be completed."""
        registration = self._get(f"/v1/authentication/form/{registration_id}")
        status = registration["status"]
        check(status == "completed", f"the registration is {status}")
        account, state = registration["account"], registration["state"]
        report("The caller read the registration.", f"{status}: account {account} is {state}")

    def get_token(self) -> dict[str, Any]:
        """Get an access token, as the caller."""
        token = self._get(f"/v1/account/{SUPPORT.account}/oauth-token")
        origin = "from the cache" if token["cached"] else "new from Microsoft"
        report(
            f"The caller fetched a token: {token['user']} opens {token['email']}.",
            f"{origin}, valid until {token['expires']}",
        )
        return token

    def read_mailbox(self, token: dict[str, Any]) -> None:
        """Use the token at Graph."""
        headers = {"Authorization": f"Bearer {token['accessToken']}"}
        response = self.tenant.get(f"/v1.0/users/{SUPPORT.email}/mailFolders/inbox", headers=headers)
        check(response.is_success, f"Graph answered {response.status_code}: {response.text[:300]}")
        report("The token opens the mailbox at Microsoft Graph.", f"folder {response.json()['displayName']}")

    def list_mailbox(self) -> dict[str, Any]:
        """List the inbox through Mailbind, without any token of Microsoft's. Returns the newest message."""
        page = self._get(f"{MAIL}/messages", path=r"\Inbox", pageSize=3)
        newest = dict(page["messages"][0])
        subjects = "; ".join(message["subject"] for message in page["messages"])
        report(f"The caller listed the mailbox through Mailbind: {page['total']} messages.", f"newest: {subjects}")
        return newest

    def reply(self, message: dict[str, Any]) -> None:
        """Answer a message twice with one key, as a flow does that got no answer the first time. It is sent once."""
        key = {"Idempotency-Key": secrets.token_hex(16)}
        body = {"reference": {"message": message["id"], "action": "reply"}, "text": "Thank you, we look into it."}
        statuses = []
        for _ in range(2):
            response = self.api.post(f"{MAIL}/submit", json=body, headers=key, timeout=STEP_TIMEOUT_SECONDS)
            check(response.is_success, f"POST {MAIL}/submit answered {response.status_code}: {response.text[:300]}")
            statuses.append(response.json()["idempotency"]["status"])
        check(statuses == ["MISS", "HIT"], f"the same Idempotency-Key was answered with {statuses}")
        report(f"The caller replied as {SUPPORT.email}, twice with one Idempotency-Key.", "it was sent once")

    def show_thread(self, message: dict[str, Any]) -> None:
        """Find the thread of the message and its reply, in all folders."""
        deadline = time.monotonic() + STEP_TIMEOUT_SECONDS
        while len(thread := self._thread(message["threadId"])) < THREAD_MESSAGES:
            check(time.monotonic() < deadline, f"the thread has {len(thread)} messages, not {THREAD_MESSAGES}")
            time.sleep(0.2)
        check(len(thread) == THREAD_MESSAGES, f"the thread has {len(thread)} messages, not {THREAD_MESSAGES}")
        senders = " → ".join(each["from"]["address"] for each in reversed(thread))
        report("The thread has the message and one reply.", senders)

    def _thread(self, thread: str) -> list[dict[str, Any]]:
        query, body = {"path": r"\All"}, {"search": {"threadId": thread}}
        response = self.api.post(f"{MAIL}/search", params=query, json=body)
        check(response.is_success, f"POST {MAIL}/search answered {response.status_code}: {response.text[:300]}")
        return list(response.json()["messages"])

    def wait_for_refresh(self) -> None:
        """Wait until the timer has refreshed the grant."""
        deadline, log = time.monotonic() + STEP_TIMEOUT_SECONDS, self.environment.host.log
        while not re.search(r" tick done .*refreshed=[1-9]", log.read_text()):
            check(time.monotonic() < deadline, f"no refresh by the timer within {STEP_TIMEOUT_SECONDS} s")
            time.sleep(0.2)
        report("The timer refreshed the grant before its token expired.", "no caller asked for it")

    def set_token_lifetime(self, seconds: int) -> None:
        """Set the lifetime of the access tokens that the tenant issues from now on."""
        self.tenant.post("/control/lifetimes", json={"accessTokenSeconds": seconds}).raise_for_status()

    def _get(self, route: str, **query: str | int) -> dict[str, Any]:
        response = self.api.get(route, params=query)
        check(response.is_success, f"GET {route} answered {response.status_code}: {response.text[:300]}")
        return dict(response.json())


def main() -> None:
    """Run the demo. At the first failure, print it and exit with 1."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mailbind-demo-") as folder:
        try:
            with local_environment(Path(folder), changes=FAST_TIMERS) as environment:
                report("Azurite, a Microsoft 365 tenant and Mailbind run on this computer.", environment.base_url)
                run_journey(environment)
        except (DemoError, PartError, OSError, LookupError, httpx.HTTPError) as error:
            sys.exit(f"✗ {error}")
    seconds = time.monotonic() - started
    print(f"Done in {seconds:.0f} s. Everything is stopped. With `make run` you can click through it yourself.")


def run_journey(environment: Environment) -> None:
    """Perform the journey. Raises DemoError at the first step that fails."""
    ready = environment.tenant.ready
    trust = ssl.create_default_context(cafile=ready["caFile"])
    with (
        mailbind_client(environment.base_url, environment.secrets.admin_token) as api,
        httpx.Client(base_url=ready["url"], verify=trust, timeout=30, trust_env=False) as tenant,
        event_receiver("whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()) as receiver,
    ):
        demo = Demo(environment, api, tenant)
        demo.set_token_lifetime(SHORT_TOKEN_SECONDS)
        demo.subscribe(receiver)
        registration = demo.start_registration()
        demo.sign_in(registration["url"])
        demo.check_registration(registration["registration"])
        demo.wait_for_events(receiver)
        demo.read_mailbox(demo.get_token())
        newest = demo.list_mailbox()
        demo.reply(newest)
        demo.show_thread(newest)
        demo.set_token_lifetime(LONG_TOKEN_SECONDS)
        demo.wait_for_refresh()
        check(demo.get_token()["cached"], "after the timer's refresh, the token did not come from the cache")


def report(step: str, detail: str) -> None:
    """Print a step that succeeded."""
    print(f"✓ {step}\n    {detail}", flush=True)


def check(condition: bool, message: str) -> None:  # noqa: FBT001 - like assert
    """Raise DemoError unless the condition holds."""
    if not condition:
        raise DemoError(message)


if __name__ == "__main__":
    main()
