"""Webhook targets: only public addresses are connected to."""

import asyncio
import ssl
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Self

import pytest
import trustme

from shared.adapters import webhook_connections
from shared.adapters.webhook_connections import is_loopback, is_public, resolve_name
from shared.adapters.webhook_sender import WebhookSender
from shared.domain.secret import Secret
from shared.domain.webhook import Delivery, Webhook
from shared.ports import TargetRefused

NOW = datetime(2026, 11, 25, tzinfo=UTC)
HOOK = Webhook(
    "w", "", (), NOW, "t", Secret("https://hook.example/in?sig=key"), Secret("whsec_" + "MDEyMzQ1Njc4OWFiY2RlZg==")
)
DELIVERY = Delivery("w", "e1", "lane", "accountAdded", '{"ä": 1}', NOW)

REFUSED = [
    "0.0.0.0",  # noqa: S104 - nothing is bound to it
    "0.255.255.255",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.130.1",
    "168.63.129.16",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:2::1",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "13.107.42.14",
    "20.190.128.1",
    "100.63.255.255",
    "100.128.0.1",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.1",
    "192.167.255.255",
    "223.255.255.255",
    "2001:4860:4860::8888",
    "2603:1000::1",
    "2a00:1450:4001::1",
]


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_taken(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host", ["127.1", "2130706433", "0x7f000001", "017700000001", "localhost", "0", "[::1]", "[::ffff:7f00:1]"]
)
async def test_other_spellings_of_loopback_are_refused(host: str) -> None:
    sender = WebhookSender(None, loopback=False)
    with pytest.raises(TargetRefused, match=r"public|not known"):
        await sender.check(Secret(f"https://{host}/"))
    await sender.close()


@pytest.mark.parametrize(
    "found", [["8.8.8.8", "10.0.0.1"], ["169.254.169.254"], ["fe80::1%eth0"], ["2a00:1450:4001::1%eth0"], [], ["::1"]]
)
async def test_every_address_of_a_name_must_be_public(found: list[str]) -> None:
    sender = WebhookSender(None, loopback=False, resolve=lambda _host, _port: found)

    with pytest.raises(TargetRefused, match="not a public one"):
        await sender.check(HOOK.url)
    with pytest.raises(TargetRefused, match="not a public one"):
        await sender.send(HOOK, DELIVERY, NOW)
    await sender.close()


async def test_an_address_that_changes_after_the_check_is_refused() -> None:
    """DNS rebinding: the name is resolved again for the connection, which uses exactly that address."""
    answers = iter([["93.184.215.14"], ["127.0.0.1"], ["93.184.215.14", "127.0.0.1"]])
    asked: list[tuple[str, int]] = []

    def resolve(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        return next(answers)

    sender = WebhookSender(None, loopback=False, resolve=resolve)
    await sender.check(HOOK.url)
    for _ in range(2):
        with pytest.raises(TargetRefused, match="not a public one"):
            await sender.send(HOOK, DELIVERY, NOW)
    assert [("hook.example", 443)] * 3 == asked
    await sender.close()


async def test_a_hanging_name_server_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_connections, "CONNECT_TIMEOUT_SECONDS", 0.2)
    answers = threading.Event()

    def resolve(_host: str, _port: int) -> Sequence[str]:
        answers.wait(30)
        return ["93.184.215.14"]

    sender = WebhookSender(None, loopback=False, resolve=resolve)

    with pytest.raises(TargetRefused, match="not looked up in time"):
        await sender.check(HOOK.url)
    assert not answers.is_set()
    answers.set()
    await sender.close()


async def test_plain_http_needs_a_setting_and_this_computer() -> None:
    strict, local = WebhookSender(None, loopback=False), WebhookSender(None, loopback=True)
    away = WebhookSender(None, loopback=True, resolve=lambda _host, _port: ["8.8.8.8"])

    with pytest.raises(TargetRefused, match="not an https address"):
        await strict.check(Secret("http://127.0.0.1/"))
    with pytest.raises(TargetRefused, match="not a public one"):
        await away.check(Secret("http://hook.example/"))
    await local.check(Secret("http://127.0.0.1/"))
    await local.check(Secret("https://127.0.0.1/"))
    with pytest.raises(TargetRefused, match="not a public one"):
        await local.check(Secret("https://10.0.0.1/"))
    for sender in (strict, local, away):
        await sender.close()


class Target:
    """A local TLS server that records requests and answers with one line."""

    def __init__(self, name: str, authority: trustme.CA) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(self.context)
        self.names: list[str | None] = []
        self.context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        self.requests: list[bytes] = []
        self.connections = 0

    async def __aenter__(self) -> Self:
        self.server = await asyncio.start_server(self._answer, "127.0.0.1", 0, ssl=self.context)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return str(file)


async def test_the_checked_address_is_used_with_the_names_certificate(authority: trustme.CA, ca_file: str) -> None:
    async with Target("hook.example", authority) as target:
        sender = WebhookSender(ca_file, loopback=True, resolve=lambda _host, _port: ["127.0.0.1"])
        url = f"https://us%40er:pa%3Ass@hook.example:{target.port}/in?sig=key#part"
        hook = replace(HOOK, url=Secret(url), headers=Secret('{"x-own": "1", "host": "evil.example"}'))

        answers = [await sender.send(hook, DELIVERY, NOW) for _ in range(2)]

        assert [200, 200] == [answer.status for answer in answers]
        assert (["hook.example"], 1) == (target.names, target.connections)
        head = target.requests[0].lower()
        assert head.startswith(b"post /in?sig=key http/1.1\r\n")
        assert b"host: hook.example:%d\r\n" % target.port in head
        assert b"evil.example" not in head
        assert b"x-own: 1\r\n" in head
        assert b"Basic dXNAZXI6cGE6c3M=" in target.requests[0]
        assert target.requests[0].endswith(DELIVERY.body.encode())
        await sender.close()


async def test_a_certificate_of_another_name_is_not_trusted(authority: trustme.CA, ca_file: str) -> None:
    async with Target("other.example", authority) as target:
        hook = replace(HOOK, url=Secret(f"https://hook.example:{target.port}/"))
        for trusted in (ca_file, None):
            sender = WebhookSender(trusted, loopback=True, resolve=lambda _host, _port: ["127.0.0.1"])
            with pytest.raises(TargetRefused, match="certificate is not trusted"):
                await sender.send(hook, DELIVERY, NOW)
            await sender.close()
        assert [] == target.requests


async def test_the_next_address_is_tried_without_a_proxy(
    authority: trustme.CA, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with Target("hook.example", authority) as target:
        sender = WebhookSender(ca_file, loopback=True, resolve=lambda _host, _port: ["127.0.0.2", "127.0.0.1"])
        hook = replace(HOOK, url=Secret(f"https://hook.example:{target.port}/"))

        assert 200 == (await sender.send(hook, DELIVERY, NOW)).status
        await sender.close()


def test_names_are_resolved_by_the_operating_system() -> None:
    assert all(map(is_loopback, resolve_name("localhost", 443)))
