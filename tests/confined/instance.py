"""One instance of the app in this process, which answers confined calls without a server, so that there can be many."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import azure.functions as func
import httpx

from infra.local.host.paths import BadPathError, read_path, read_query
from shared.bootstrap import build
from shared.confined.handling import ConfinedHandling
from shared.domain.audit import AuditRecord
from shared.domain.clouds import Cloud
from shared.domain.secret import Secret
from shared.http.audit import Audit
from shared.http.limits import RequestLimits
from shared.ports import App, Clock, GraphAnswer, GraphCall, GraphMail
from tests.confined.conftest import TwoMailboxes
from tests.environments import trust
from tests.patience import SECONDS

ROOT = "/v1.0/"


@dataclass(frozen=True)
class Sent:
    """A request as it is sent: `target` has the path and the query, percent-encoded or not."""

    target: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Answer(NamedTuple):
    """What the caller gets."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class WatchedGraphMail:
    """Calls Graph as the app does. It knows which calls began, and can hold them before they are sent."""

    send: GraphMail
    begun: list[GraphCall] = field(default_factory=list)
    released: asyncio.Event | None = None
    arrivals: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def __call__(self, cloud: Cloud, token: Secret, call: GraphCall, max_bytes: int) -> GraphAnswer:
        self.begun.append(call)
        if self.released is not None:
            self.arrivals.release()
            await self.released.wait()
        return await self.send(cloud, token, call, max_bytes)

    async def close(self) -> None:
        await self.send.close()

    @asynccontextmanager
    async def holding(self, calls: int) -> AsyncIterator[None]:
        """Hold calls until the end of the block, which begins when so many are held."""
        self.begun.clear()
        self.released, self.arrivals = asyncio.Event(), asyncio.Semaphore(0)
        try:
            async with asyncio.timeout(SECONDS):
                for _ in range(calls):
                    await self.arrivals.acquire()
            yield
        finally:
            self.released.set()
            self.released = None


@dataclass(frozen=True)
class Instance:
    """The app with its handling of confined calls, its calls to Graph, and every audit record that it wrote."""

    app: App
    graph: WatchedGraphMail
    handling: ConfinedHandling
    records: list[AuditRecord]
    runner: asyncio.Runner

    def run[T](self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    async def call(self, token: str, sent: Sent) -> Answer | None:
        """The answer; None for a request that the host does not pass to the function."""
        path, _, query = sent.target.partition("?")
        try:
            decoded = read_path(path)
        except BadPathError:
            return None
        if not decoded.lower().startswith(ROOT):
            return None
        response = await self.handling._respond(  # noqa: SLF001 - what the host calls
            func.HttpRequest(
                sent.method,
                "http://127.0.0.1/",
                headers={
                    "authorization": f"Bearer {token}",
                    **{name.lower(): value for name, value in sent.headers.items()},
                },
                params=read_query(query),
                route_params={"path": decoded[len(ROOT) :]} if len(decoded) > len(ROOT) else {},
                body=sent.body,
            )
        )
        return Answer(response.status_code, dict(response.headers.items()), response.get_body())


@contextmanager
def running_instance(mailboxes: TwoMailboxes, clock: Clock | None = None, **changes: str) -> Iterator[Instance]:
    """An instance on the storage and the tenant of the environment."""
    records: list[AuditRecord] = []
    with asyncio.Runner() as runner:
        built = build({**mailboxes.environment.settings, **changes}, clock)
        graph = WatchedGraphMail(built.graph_mail)
        app = replace(built, audit=records.append, graph_mail=graph)
        limits = RequestLimits(app.rate_limit.count, app.config.proxies)
        handling = ConfinedHandling(app, Audit(app.audit, app.clock, app.entropy), limits)
        yield Instance(app, graph, handling, records, runner)
        runner.run(app.close())


@dataclass(frozen=True)
class Graph:
    """The tenant's Graph as the person sees it, with their own token: in every mailbox that they may open."""

    client: httpx.Client

    def get(self, path: str, **options: str) -> Any:
        return self.client.get(path, params=options).raise_for_status().json()

    def content(self, mailbox: str) -> Any:
        """All that the mailbox has: its folders, and its messages with their attachments."""
        folders = self.get(f"users/{mailbox}/mailFolders", includeHiddenFolders="true", **{"$top": "100"})["value"]
        options = {"$top": "1000", "$expand": "attachments"}
        messages = self.get(f"users/{mailbox}/messages", **options)["value"]
        return {each["id"]: each for each in (*folders, *messages)}


@contextmanager
def graph_of(mailboxes: TwoMailboxes) -> Iterator[Graph]:
    """Graph with the token that the person's accounts share."""
    handed_out = mailboxes.api.get("/v1/account/sales/oauth-token").raise_for_status().json()
    ready = mailboxes.environment.tenant.ready
    headers = {"Authorization": f"Bearer {handed_out['accessToken']}"}
    root = f"{ready['url']}{urlsplit(ROOT).path}"
    with httpx.Client(base_url=root, headers=headers, verify=trust(ready["caFile"]), timeout=30) as client:
        yield Graph(client)
