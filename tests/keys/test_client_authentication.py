"""Promises of how an OAuth app proves itself to Entra: MSAL and azure-identity, unpatched, against the local tenant."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from shared.adapters.msal_applications import ClientAuthentication
from shared.domain.failure import FailureKind
from shared.domain.oauth_app import FederatedIdentity
from shared.domain.secret import Secret
from shared.ports import App, EntraFailed
from shared.usecases.apps.circuit_breaker import refused_apps
from shared.usecases.tokens.hand_out import hand_out
from shared.usecases.tokens.probe import reconnect_account
from tests.conftest import MovedClock, first_app
from tests.keys.conftest import IDENTITY, STRANGER, Start, Vault, written
from tests.keys.people import person, sign_in

pytestmark = pytest.mark.usefixtures("fresh")
ALICE = "alice@contoso.example"


def certificate(days: int = 30) -> tuple[str, str]:
    """A private key and its own certificate, both PEM; `days` is how long from now it is valid."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mailbind")])
    end = datetime.now(UTC) + timedelta(days=days)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=60))
        .not_valid_after(end)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private.decode(), signed.public_bytes(Encoding.PEM).decode()


def with_certificate(start: Start, private: str, public: str) -> App:
    return start(
        MAILBIND_OAUTH_AUTHENTICATION="certificate",
        MAILBIND_OAUTH_CERTIFICATE=private + public,
        MAILBIND_OAUTH_CLIENT_SECRET="",
    )


def federated(start: Start, identity: str = IDENTITY) -> App:
    return start(
        MAILBIND_OAUTH_AUTHENTICATION="federated",
        MAILBIND_OAUTH_MANAGED_IDENTITY=identity,
        MAILBIND_OAUTH_CLIENT_SECRET="",
    )


def refresh_token(vault: Vault) -> Secret:
    return Secret(vault.do("sign-in", person=ALICE)["refreshToken"])


async def failure(services: App, token: Secret) -> tuple[FailureKind, str, int | None]:
    with pytest.raises(EntraFailed) as failed:
        await services.microsoft.entra.refresh(first_app(services), token)
    return failed.value.failure.kind, failed.value.failure.code, failed.value.failure.aadsts


@pytest.mark.parametrize("kind", ["certificate", "federated"])
async def test_sign_in_and_refresh_need_no_secret(vault: Vault, start: Start, kind: str) -> None:
    private, public = certificate()
    vault.do("certificate", pem=public)
    services = with_certificate(start, private, public) if kind == "certificate" else federated(start)

    account = await sign_in(services, vault.ready["caFile"], person(vault))

    assert (await reconnect_account(services, account)).failed is None
    assert (await hand_out(services, account)).access_token.reveal()


async def test_certificate_may_come_from_a_file(vault: Vault, start: Start, tmp_path: Path) -> None:
    private, public = certificate()
    vault.do("certificate", pem=public)
    file = written(tmp_path, private + public)
    services = start(MAILBIND_OAUTH_AUTHENTICATION="certificate", MAILBIND_OAUTH_CERTIFICATE_FILE=file)

    assert (await services.microsoft.entra.refresh(first_app(services), refresh_token(vault))).access_token.reveal()


async def test_certificate_that_is_not_registered_is_the_apps_fault(vault: Vault, start: Start) -> None:
    services = with_certificate(start, *certificate())

    assert (FailureKind.APP_FAULT, "app_credential", 700027) == await failure(services, refresh_token(vault))
    assert ["app_credential"] == [refused.fault.code for refused in await refused_apps(services)]


async def test_certificate_that_has_ended_is_the_apps_fault(vault: Vault, start: Start) -> None:
    private, public = certificate(days=-1)
    vault.do("certificate", pem=public)

    services = with_certificate(start, private, public)

    assert (FailureKind.APP_FAULT, "app_credential", 700027) == await failure(services, refresh_token(vault))


async def test_untrusted_identity_is_an_app_fault(vault: Vault, start: Start) -> None:
    services = federated(start, STRANGER)

    assert (FailureKind.APP_FAULT, "app_credential", 700213) == await failure(services, refresh_token(vault))


async def test_identity_that_is_not_the_apps_is_the_apps_fault(vault: Vault, start: Start) -> None:
    """The endpoint answers 400: nobody assigned that identity to this app."""
    services = federated(start, "1de27171-0000-4000-8000-0000000000ff")

    assert (FailureKind.APP_FAULT, "app_credential", None) == await failure(services, refresh_token(vault))
    assert ["app_credential"] == [refused.fault.code for refused in await refused_apps(services)]


@pytest.mark.parametrize("outage", ["503", "html", "reset"])
async def test_identity_endpoint_that_is_away_is_nobodys_fault(vault: Vault, start: Start, outage: str) -> None:
    services, token = federated(start), refresh_token(vault)
    vault.do("outage", endpoint="identity", mode=outage)

    assert (FailureKind.TRANSIENT, "entra_unavailable", None) == await failure(services, token)
    assert [] == list(await refused_apps(services))


async def test_missing_identity_endpoint_is_a_transient_failure(
    vault: Vault, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:9/msi/token")

    assert FailureKind.TRANSIENT == (await failure(federated(start), refresh_token(vault)))[0]


async def test_persons_own_fault_stays_theirs(vault: Vault, start: Start) -> None:
    services, token = federated(start), refresh_token(vault)
    vault.do("revoke", person=ALICE)

    assert (FailureKind.NEEDS_SIGN_IN, "needs_sign_in", 50173) == await failure(services, token)


async def test_breaker_closes_when_the_identity_is_trusted_at_last(
    vault: Vault, start: Start, clock: MovedClock
) -> None:
    services = federated(start, STRANGER)
    token = refresh_token(vault)
    await failure(services, token)
    issuer = f"{vault.ready['url']}/{vault.ready['tenantId']}/v2.0"
    subject = "1de27171-0000-4000-8000-0000000000b2"
    vault.do("federate", issuer=issuer, subject=subject, audience="api://AzureADTokenExchange")
    clock.forward(minutes=2)

    assert (await services.microsoft.entra.refresh(first_app(services), token)).access_token.reveal()
    assert [] == list(await refused_apps(services))


async def test_token_of_the_identity_is_requested_once(vault: Vault, start: Start) -> None:
    services, token = federated(start), refresh_token(vault)
    await services.microsoft.entra.refresh(first_app(services), token)
    before = len(vault.events("identity token"))

    await asyncio.gather(*(services.microsoft.entra.refresh(first_app(services), token) for _ in range(20)))

    assert before == len(vault.events("identity token"))


@pytest.mark.parametrize(
    ("host", "audience"),
    [
        ("https://login.microsoftonline.com", "api://AzureADTokenExchange"),
        ("https://login.microsoftonline.us", "api://AzureADTokenExchangeUSGov"),
        ("https://login.partner.microsoftonline.cn", "api://AzureADTokenExchangeChina"),
    ],
)
async def test_each_cloud_has_its_own_audience(vault: Vault, host: str, audience: str) -> None:
    """Seen in what the identity endpoint was asked for."""
    authentication = ClientAuthentication()
    credential = authentication.credential(FederatedIdentity(IDENTITY), host)
    assert isinstance(credential, dict)

    await asyncio.to_thread(credential["client_assertion"])
    authentication.close()

    assert audience == vault.events("identity token")[-1]["resource"]


async def test_no_private_key_and_no_assertion_is_logged(
    vault: Vault, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    private, public = certificate()
    vault.do("certificate", pem=public)
    with caplog.at_level(logging.DEBUG):
        one, two = with_certificate(start, private, public), federated(start)
        for services in (one, two):
            await services.microsoft.entra.refresh(first_app(services), refresh_token(vault))
        await failure(federated(start, STRANGER), refresh_token(vault))

    assert private.splitlines()[1] not in caplog.text
    assert "client_assertion=" not in caplog.text
    assert ".eyJ" not in caplog.text
