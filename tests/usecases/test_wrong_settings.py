"""Settings of our own that are wrong are told apart from an outage of Microsoft, to everybody whom they concern."""

import logging
import ssl
from dataclasses import replace

import pytest

from infra.local import parts
from infra.local.environment import APP_ID
from infra.local.visitor import Visitor
from shared.adapters.graph import HttpGraph
from shared.adapters.imap import ImapProbe
from shared.domain.clouds import MailServer
from shared.domain.failure import FailureKind
from shared.domain.secret import Secret
from shared.ports import App, EntraFailed, MailboxProbe, MailboxUnavailable
from shared.usecases.apps.verify import verify_oauth_app
from shared.usecases.sign_in.link import UnusableLink, begin_sign_in
from shared.usecases.tokens.probe import reconnect_account
from shared.usecases.upkeep.statistics import read_health
from tests.conftest import MovedClock, first_app, unguarded
from tests.usecases.conftest import NewPerson, StartApp, ask, bind, open_page

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
    app: App, shared_tenant: parts.Part, other_ca: str, empty_ca: str, caplog: pytest.LogCaptureFixture, kind: str
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
        probe: MailboxProbe = HttpGraph(ca_file) if kind == "graph" else ImapProbe(ca_file, 1)
        caplog.clear()
        for _ in range(2):
            with pytest.raises(MailboxUnavailable, match=code):
                await probe.open(replace(oauth_app, cloud=cloud), Secret("x"), "a@contoso.example", shared=True)
        await probe.close()

        lines = [vars(line)["reason"] for line in caplog.records if line.message == "mailboxes cannot be reached"]
        assert ([reason] if reason else []) == lines
