"""The IMAP login, when the server does not respond."""

import asyncio
import socket
import time
from datetime import UTC, datetime
from functools import partial

import pytest

from shared.adapters import imap
from shared.adapters.connection_faults import ConnectionFaults
from shared.adapters.imap import ImapProbe
from shared.domain.clouds import CLOUDS, MailServer
from shared.domain.oauth_app import OAuthApp
from shared.domain.secret import Secret
from shared.ports import MailboxUnavailable


async def test_a_login_times_out_whatever_is_in_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one thread and a silent server, all logins time out at the same time."""
    monkeypatch.setattr(imap, "STEP_TIMEOUT_SECONDS", 2.0)
    monkeypatch.setattr(imap, "LOGIN_TIMEOUT_SECONDS", 1.0)
    server = socket.create_server(
        ("127.0.0.1", 0)
    )  # the operating system completes connections that are never accepted
    cloud = CLOUDS["global"]._replace(imap_server=MailServer(*server.getsockname()))
    app = OAuthApp("app", "App", "client", (), "t", frozenset(), cloud, cloud.scopes(["imap"]))
    probe = ImapProbe(None, 1, ConnectionFaults(partial(datetime.now, UTC)))
    began, ended = time.monotonic(), list[float]()

    async def login() -> None:
        with pytest.raises(MailboxUnavailable):
            await probe.open(app, Secret("token"), "support@contoso.example", shared=True)
        ended.append(time.monotonic())

    await asyncio.gather(*(login() for _ in range(4)))

    assert ended[-1] - ended[0] < ended[0] - began
    await probe.close()
    server.close()
