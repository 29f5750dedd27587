"""A receiver that can be killed, and an app with storage of its own that may tell it things."""

import json
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.local import parts
from infra.local.azurite import Azurite
from shared.bootstrap import build
from shared.domain.account import Principal
from shared.domain.caller import Binding, Caller, Scope
from shared.domain.event import EventName
from shared.domain.formats import table_key
from shared.domain.secret import Secret
from shared.ports import App, Insert, Replace
from shared.usecases.events.delivery import deliver_events
from shared.usecases.events.outbox import account_events
from shared.usecases.events.webhook_care import remove_webhook
from shared.usecases.events.webhooks import Subscription, subscribe
from tests.conftest import MovedClock, lose, settings_for
from tests.contract.records import account, principal

SECRET = "whsec_" + "c2VjcmV0LW9mLXRoZS10ZXN0LXJlY2VpdmVyLTAwMQ=="
ADMIN = Caller("administrator", "administrator", frozenset({Scope.ADMIN}))


@dataclass
class Receiver:
    """The receiver as a process of its own, at one port for as long as the test lasts."""

    folder: Path
    port: int
    part: parts.Part | None = None

    def start(self) -> None:
        command = parts.python_part(
            "tests.events.receiver", "--port", str(self.port), "--took", str(self.took_file), "--secret", SECRET
        )
        # It is ended without grace: a target that hangs would take all of it.
        self.part = parts.start("receiver", command, folder=self.folder, stop_signal=signal.SIGKILL)

    def kill(self) -> None:
        assert self.part is not None
        self.part.process.kill()
        self.part.stop()

    @property
    def took_file(self) -> Path:
        return self.folder / "took.jsonl"

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def took(self, path: str) -> list[dict[str, Any]]:
        """All that came to a path, in order; a line that a kill cut short was never answered."""
        lines = self.took_file.read_text().splitlines() if self.took_file.exists() else []
        records = [json.loads(line) for line in lines if line.endswith("}")]
        return [record for record in records if record["path"] == f"/{path}"]


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    running = Receiver(tmp_path_factory.mktemp("receiver"), port)
    running.start()
    yield running
    if running.part is not None:
        running.part.stop()


@pytest.fixture
async def app(storage: Azurite, clock: MovedClock) -> AsyncIterator[App]:
    """No webhooks are left by the previous test."""
    settings = settings_for(storage.connection_string, MAILBIND_WEBHOOKS_LOOPBACK="true")
    built = build(settings, clock)
    yield built
    for webhook in await built.stores.webhooks.all():
        await remove_webhook(built, webhook.id, ADMIN)
    if (lease := await built.stores.leases.get("delivery")) is not None:
        await built.stores.leases.remove(lease)
    await built.close()


@dataclass
class Teller:
    """A person whose accounts get events, each in a transaction as the app writes it."""

    services: App
    who: Principal = field(default_factory=principal)
    versions: dict[str, tuple[Any, str]] = field(default_factory=dict)

    async def tell(self, name: str, *events: EventName) -> None:
        """Events of one account, in one transaction; the account comes with its first."""
        known = self.versions.get(name)
        before = known[0] if known else account(self.who, self.services.clock(), name)
        told, news = await account_events(self.services, before, events)
        change = Replace(told, known[1]) if known else Insert(told)
        versions = await self.services.stores.principals.commit(self.who.id, [change, *news])
        self.versions[name] = told, versions[0]


@pytest.fixture
def teller(app: App) -> Teller:
    return Teller(app)


def named(start: str = "account") -> str:
    return f"{start}-{secrets.token_hex(4)}"


async def subscribe_to(app: App, url: str, filtered: Binding | None = None, *, verify: bool = False) -> str:
    """A webhook for everything."""
    asked = Subscription(Secret(url), ("*",), filtered, Secret(SECRET), verify=verify)
    return (await subscribe(app, asked, {}, ADMIN)).webhook.id


async def lose_secrets(app: App, webhook: str) -> None:
    """What is left of a webhook when the data key that its secrets were sealed under is gone."""
    await lose(app, "Webhooks", table_key(webhook), "")


async def deliver(app: App) -> bool:
    """What the timer does, and only what it needs for one go."""
    return await deliver_events(app, app.clock() + timedelta(minutes=4))
