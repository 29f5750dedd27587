"""Settings of our own that are wrong are told apart from an outage of Microsoft, to everybody whom they concern."""

import logging
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jwt
import pytest

from infra.local import parts
from infra.local.environment import APP_ID
from infra.local.visitor import Visitor
from shared.adapters.connection_faults import ConnectionFaults
from shared.adapters.entra_callers import SigningKeys
from shared.adapters.graph import HttpGraph
from shared.adapters.imap import ImapProbe
from shared.domain.clouds import MailServer
from shared.domain.errors import KeySetupWrong, StorageUnavailable, Unavailable
from shared.domain.failure import FailureKind
from shared.domain.secret import Secret
from shared.ports import App, EntraFailed, MailboxProbe, MailboxRefused, MailboxUnavailable
from shared.usecases.apps.verify import verify_oauth_app
from shared.usecases.callers.identify import identify_caller
from shared.usecases.sign_in.link import UnusableLink, begin_sign_in
from shared.usecases.tokens.probe import reconnect_account
from shared.usecases.upkeep.statistics import read_health
from tests.conftest import MovedClock, first_app, unguarded
from tests.local.calling_app import token_by_msal
from tests.usecases.conftest import SUPPORT, NewPerson, StartApp, ask, bind, open_page

UNKNOWN_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dae"
UNKNOWN_HOST = "https://login.invalid"  # RFC 6761 section 6.4
CLOSED_PORT = "https://127.0.0.1:9"


@pytest.fixture(scope="module")
def other_ca(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A certificate of another authority than the tenant's."""
    file = tmp_path_factory.mktemp("other") / "ca.pem"
    file.write_text(ssl.DER_cert_to_PEM_cert(ssl.create_default_context().get_ca_certs(binary_form=True)[0]))
    return str(file)


@pytest.fixture(scope="module")
def empty_ca(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("empty") / "ca.pem"
    file.write_text("not a certificate")
    return str(file)


async def begin(app: App) -> str | None:
    """The code with which the page refuses to begin a sign-in, or None."""
    link = await ask(app)
    page = await open_page(app, link)
    try:
        await begin_sign_in(app, link.registration, page.confirmation, page.cookie)
    except UnusableLink as unusable:
        return unusable.code
    return None


@pytest.mark.parametrize(
    ("wrong", "code", "cause"),
    [
        ("MAILBIND_OAUTH_TENANT", "app_configuration", 90002),
        ("MAILBIND_AUTHORITY_HOST", "entra_setup", "host name unknown"),
        ("other CA", "entra_setup", "certificate not trusted"),
        ("empty CA", "entra_setup", "CA file unreadable"),
    ],
)
async def test_wrong_setting_is_told_to_everybody_it_concerns(
    app: App,
    new_app: StartApp,
    other_ca: str,
    empty_ca: str,
    caplog: pytest.LogCaptureFixture,
    clock: MovedClock,
    wrong: str,
    code: str,
    cause: object,
) -> None:
    changes = {
        "other CA": {"MAILBIND_CA_FILE": other_ca},
        "empty CA": {"MAILBIND_CA_FILE": empty_ca},
        "MAILBIND_OAUTH_TENANT": {"MAILBIND_OAUTH_TENANT": UNKNOWN_TENANT},
        "MAILBIND_AUTHORITY_HOST": {"MAILBIND_AUTHORITY_HOST": UNKNOWN_HOST},
    }
    misconfigured = new_app(**changes[wrong])

    with caplog.at_level(logging.ERROR):
        assert [code] * 3 == [await begin(misconfigured) for _ in range(3)]

    (line,) = [vars(line) for line in caplog.records if line.message == "oauth app fault"]
    assert code == line["code"]
    assert cause in {line["aadsts"], line["trace"]}
    assert not (await read_health(misconfigured)).success
    steps = {step.id: step for step in (await verify_oauth_app(misconfigured, APP_ID, None, open_mailbox=False)).steps}
    assert ("fail", "fail") == (steps["authority"].status, steps["client"].status)
    # The setting is mended. There is no grant yet whose refresh could show it.
    clock.forward(seconds=16)
    assert None is await begin(app)
    assert (await read_health(app)).success


async def test_closed_port_is_an_outage(new_app: StartApp) -> None:
    away = new_app(MAILBIND_AUTHORITY_HOST=CLOSED_PORT)

    assert "entra_unavailable" == await begin(away)
    with pytest.raises(EntraFailed) as failed:
        await unguarded(away).discover(first_app(away))

    assert FailureKind.TRANSIENT is failed.value.failure.kind
    assert (await read_health(away)).success


async def test_wrong_certificate_loses_no_grant(
    app: App, new_app: StartApp, visitor: Visitor, person: NewPerson, other_ca: str, clock: MovedClock
) -> None:
    account = await bind(app, visitor, person())

    wrong = (await reconnect_account(new_app(MAILBIND_CA_FILE=other_ca), account)).failed

    assert wrong is not None
    assert "entra_setup" == wrong.code
    clock.forward(minutes=1)
    assert None is (await reconnect_account(app, account)).failed
    assert (await read_health(app)).success


@pytest.mark.parametrize("kind", ["graph", "imap"])
async def test_mailboxes_that_cannot_be_reached_have_one_error_line(
    app: App,
    shared_tenant: parts.Part,
    other_ca: str,
    empty_ca: str,
    caplog: pytest.LogCaptureFixture,
    clock: MovedClock,
    kind: str,
) -> None:
    oauth_app = first_app(app)
    host, _, port = shared_tenant.ready["imapServer"].rpartition(":")
    there = oauth_app.cloud._replace(imap_server=MailServer(host, int(port)))
    unknown = there._replace(graph=UNKNOWN_HOST, imap_server=MailServer("login.invalid", 993))
    closed = there._replace(graph=CLOSED_PORT, imap_server=MailServer("127.0.0.1", 9))
    tries = [
        (other_ca, there, "graph_setup", "certificate not trusted"),
        (empty_ca, there, "graph_setup", "CA file unreadable"),
        (None, unknown, "graph_setup", "host name unknown"),
        (None, closed, "graph_unavailable", None),
    ]
    for ca_file, cloud, code, reason in tries:
        faults = ConnectionFaults(clock)
        probe: MailboxProbe = HttpGraph(ca_file, faults) if kind == "graph" else ImapProbe(ca_file, 1, faults)
        caplog.clear()
        for _ in range(2):
            with pytest.raises(MailboxUnavailable, match=code):
                await probe.open(replace(oauth_app, cloud=cloud), Secret("x"), "a@contoso.example", shared=True)
        await probe.close()

        assert ([(code, reason)] if reason else []) == [(line["code"], line["reason"]) for line in unreachable(caplog)]
        assert ([reason] if reason else []) == [fault.reason for fault in faults.current()]


@pytest.mark.parametrize("wrong", ["other CA", "empty CA", "host"])
async def test_key_vault_that_cannot_be_reached_is_no_outage(
    new_app: StartApp,
    shared_tenant: parts.Part,
    other_ca: str,
    empty_ca: str,
    caplog: pytest.LogCaptureFixture,
    clock: MovedClock,
    wrong: str,
) -> None:
    url = shared_tenant.ready["url"] if "CA" in wrong else "https://vault.invalid"
    ca_file = {"other CA": other_ca, "empty CA": empty_ca}.get(wrong, shared_tenant.ready["caFile"])
    app = new_app(MAILBIND_KEY_VAULT_KEY=f"{url}/keys/mailbind", MAILBIND_SEALING_KEY="", MAILBIND_CA_FILE=ca_file)

    for _ in range(2):
        with pytest.raises(KeySetupWrong) as unavailable:
            await app.sealing.data_keys.make()

    assert "key_vault_setup" == unavailable.value.code
    assert 1 == len(unreachable(caplog))
    assert [("key_vault_setup", url)] == [(fault.code, fault.host) for fault in app.setup_faults()]
    assert not (await read_health(app)).success
    clock.forward(minutes=61)
    assert (await read_health(app)).success, "nobody knows whether the fault still holds"


@pytest.mark.parametrize("ca", ["other", "empty"])
async def test_signing_keys_that_cannot_be_fetched_are_no_outage(
    new_app: StartApp,
    shared_tenant: parts.Part,
    other_ca: str,
    empty_ca: str,
    caplog: pytest.LogCaptureFixture,
    ca: str,
) -> None:
    token = Secret(token_by_msal(shared_tenant.ready))
    misconfigured = new_app(MAILBIND_CA_FILE=other_ca if ca == "other" else empty_ca)

    for _ in range(2):
        with pytest.raises(Unavailable) as unavailable:
            await identify_caller(misconfigured, token, None)

    assert "entra_setup" == unavailable.value.code
    assert 1 == len(unreachable(caplog))
    assert [shared_tenant.ready["url"]] == [fault.host for fault in misconfigured.setup_faults()]
    assert not (await read_health(misconfigured)).success


async def test_signing_keys_of_a_closed_port_are_an_outage(new_app: StartApp, shared_tenant: parts.Part) -> None:
    tenant = shared_tenant.ready["tenantId"]
    claims = {"iss": f"{CLOSED_PORT}/{tenant}/v2.0", "tid": tenant}
    token = jwt.encode(claims, "a key of nobody, which is long enough", headers={"kid": "1"})
    away = new_app(MAILBIND_AUTHORITY_HOST=CLOSED_PORT)

    with pytest.raises(Unavailable) as unavailable:
        await identify_caller(away, Secret(token), None)

    assert "entra_unavailable" == unavailable.value.code
    assert (await read_health(away)).success


async def test_reached_service_is_no_fault_any_more(clock: MovedClock, caplog: pytest.LogCaptureFixture) -> None:
    faults, unknown = ConnectionFaults(clock), socket.gaierror(socket.EAI_NONAME, "unknown")

    assert faults.is_ours("graph_setup", "https://graph.example", unknown)
    assert faults.is_ours("graph_setup", "https://graph.cn.example", unknown)
    faults.succeeded("graph_setup", "https://graph.example")
    assert ["https://graph.cn.example"] == [fault.host for fault in faults.current()]
    assert faults.is_ours("graph_setup", "https://graph.example", unknown)
    assert 3 == len(unreachable(caplog)), "each fault is logged again after a success"
    assert not faults.is_ours("graph_setup", "https://graph.example", TimeoutError())


@pytest.mark.parametrize("service", ["graph", "imap", "signing keys"])
async def test_refusal_of_a_reached_service_ends_its_fault(
    app: App, shared_tenant: parts.Part, clock: MovedClock, service: str
) -> None:
    """What the service answers does not matter: the connection is there."""
    ready, oauth_app, faults = shared_tenant.ready, first_app(app), ConnectionFaults(clock)
    imap_host, _, imap_port = ready["imapServer"].rpartition(":")
    cloud = oauth_app.cloud._replace(imap_server=MailServer(imap_host, int(imap_port)))
    code, host = {
        "graph": ("graph_setup", ready["url"]),
        "imap": ("graph_setup", imap_host),
        "signing keys": ("entra_setup", ready["url"]),
    }[service]
    assert faults.is_ours(code, host, socket.gaierror(socket.EAI_NONAME, "unknown"))

    if service == "signing keys":
        keys = SigningKeys(f"{ready['url']}/{ready['tenantId']}/discovery/keys", ready["caFile"], faults)
        assert None is await keys.get("unknown", clock())
    else:
        ca_file = ready["caFile"]
        probe: MailboxProbe = HttpGraph(ca_file, faults) if service == "graph" else ImapProbe(ca_file, 1, faults)
        with pytest.raises(MailboxRefused):
            await probe.open(replace(oauth_app, cloud=cloud), Secret("x"), SUPPORT, shared=True)
        await probe.close()

    assert [] == faults.current()


@pytest.mark.filterwarnings("ignore:Testing an element's truth value:DeprecationWarning")  # of azure-data-tables
@pytest.mark.parametrize("wrong", ["host", "key", "port"])
async def test_storage_that_our_settings_make_unusable_is_no_outage(
    app_values: Mapping[str, str], new_app: StartApp, wrong: str
) -> None:
    tables = {
        "host": re.sub(r"http://[^/;]+", "http://tables.invalid", app_values["MAILBIND_TABLES"]),
        "key": re.sub("AccountKey=[^;]+", "AccountKey=d3Jvbmc=", app_values["MAILBIND_TABLES"]),
        "port": re.sub(r"http://[^/;]+", "http://127.0.0.1:9", app_values["MAILBIND_TABLES"]),
    }
    away = new_app(MAILBIND_TABLES=tables[wrong])

    code = "storage_unavailable" if wrong == "port" else "storage_setup"
    health = await read_health(away)
    assert (False, code) == (health.success, health.storage)
    with pytest.raises(StorageUnavailable) as unavailable:
        await ask(away)
    assert code == unavailable.value.code


def unreachable(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(line) for line in caplog.records if line.message == "service cannot be reached"]
