"""No client uses a proxy from the environment, because the proxy would see tokens and keys."""

import asyncio
import gc
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
import urllib3
from azure.core.exceptions import AzureError

import shared
from shared.adapters.connection_faults import ConnectionFaults
from shared.adapters.entra_callers import SigningKeys
from shared.adapters.graph import HttpGraph
from shared.adapters.graph_mail import HttpGraphMail
from shared.adapters.key_wrapping import VaultKey
from shared.adapters.msal_applications import ClientAuthentication
from shared.adapters.shard_queue import StorageShardQueue
from shared.adapters.tables.connection import connect
from shared.adapters.token_calls import TokenRefused
from shared.adapters.token_transport import TokenTransport
from shared.adapters.webhook_sender import WebhookSender
from shared.cli.api import Api, Failed
from shared.domain.clouds import Cloud
from shared.domain.errors import MailbindError
from shared.domain.oauth_app import ClientSecret, FederatedIdentity, OAuthApp
from shared.domain.secret import Secret
from shared.domain.webhook import Delivery, Webhook
from shared.ports import CallNotSent, GraphCall, MailboxUnavailable, TargetRefused

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
NOWHERE = "127.0.0.1:9"  # the port of "discard", which is closed
HTTPS, HTTP = f"https://{NOWHERE}", f"http://{NOWHERE}"
STORE = Secret(
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=a2V5;"
    f"TableEndpoint={HTTP}/x;QueueEndpoint={HTTP}/x;"
)
CLOUD = Cloud(HTTPS, HTTPS, HTTPS)
APP = OAuthApp("app", "App", "client", (ClientSecret(Secret("s")),), "t", frozenset({"t"}), CLOUD, ())
FAILURES = (
    *(AzureError, urllib3.exceptions.HTTPError, OSError, MailbindError),
    *(MailboxUnavailable, CallNotSent, TargetRefused, TokenRefused, Failed),
)
FAULTS = ConnectionFaults(lambda: NOW)
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


async def graph() -> None:
    await HttpGraph(None, FAULTS).open(APP, Secret("token"), "support@contoso.example", shared=True)


async def mail() -> None:
    await HttpGraphMail(None, FAULTS)(CLOUD, Secret("token"), GraphCall("GET", "/v1.0/users/x/messages"), 1)


async def token_endpoint(scheme: str) -> None:
    await asyncio.to_thread(TokenTransport(1, None).post, f"{scheme}://{NOWHERE}/token", data={"a": "b"})


async def signing_keys() -> None:
    await SigningKeys(f"{HTTPS}/keys", None, FAULTS).get("kid", NOW)


async def webhook(scheme: str) -> None:
    url = Secret(f"{scheme}://{NOWHERE}/hook")
    target = Webhook("w", NOWHERE, ("*",), NOW, "administrator", url=url, secret=Secret("secret"))
    await WebhookSender(None, loopback=True).send(target, Delivery("w", "1", "lane", "event", "{}", NOW), NOW)


async def tables(where: Secret) -> None:
    async with connect(where, "identity") as service:
        await service.get_table_client("Breakers").get_entity("a", "b")


async def queue(where: Secret) -> None:
    await StorageShardQueue(where, "identity").send("shard", NOW)


async def vault() -> None:
    await VaultKey(f"{HTTPS}/keys/key", "identity", None, FAULTS).newest()


async def managed_identity() -> None:
    credential = ClientAuthentication().credential(FederatedIdentity("identity"), HTTPS)
    assert isinstance(credential, dict)
    await asyncio.to_thread(credential["client_assertion"])


async def command() -> None:
    await asyncio.to_thread(Api(HTTP, "token", None).call, "GET", "accounts")


CALLS: dict[str, Callable[[], Awaitable[None]]] = {
    "graph.py": graph,
    "graph_mail.py": mail,
    "token_transport.py": partial(token_endpoint, "https"),
    "token_transport.py over http": partial(token_endpoint, "http"),
    "entra_callers.py": signing_keys,
    "webhook_connections.py": partial(webhook, "https"),
    "webhook_connections.py over http": partial(webhook, "http"),
    "connection.py": partial(tables, STORE),
    "connection.py by managed_identity.py": partial(tables, Secret(f"{HTTPS}/x")),
    "shard_queue.py": partial(queue, STORE),
    "shard_queue.py by managed_identity.py": partial(queue, Secret(f"{HTTPS}/x")),
    "key_wrapping.py by managed_identity.py": vault,
    "msal_applications.py": managed_identity,
    "api.py": command,
}


@pytest.fixture
async def proxied(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[bytes]]:
    """The requests that a proxy from the environment receives. App Service's identity endpoint is set too."""
    heard: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readline())
        writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for name in PROXIES:
        monkeypatch.setenv(name, address)
        monkeypatch.setenv(name.lower(), address)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{HTTP}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "header")
    yield heard
    server.close()
    gc.collect()  # while warnings about open clients are ignored


# Clients stay open when nothing responds; closing them is not under test.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("name", sorted(CALLS))
async def test_proxies_of_the_environment_are_not_used(proxied: list[bytes], name: str) -> None:
    with pytest.raises(FAILURES):  # a proxy would be used at once, so retries need not be awaited
        await asyncio.wait_for(CALLS[name](), 3)

    assert [] == proxied


def test_every_file_with_an_http_client_is_tested() -> None:
    known = re.compile(
        r"httpx\.(Async)?Client\(|PoolManager\(|ClientSession\(|ConnectionPool\(|IdentityCredential\(|"
        r"(Table|Queue|Key)\w*Client\(|HttpTransport\(|RequestsTransport\("
    )
    root = Path(shared.__file__).parent
    files = {file.name for file in root.rglob("*.py") if known.search(file.read_text())}

    assert files == {name for call in CALLS for name in re.findall(r"\w+\.py", call)}
