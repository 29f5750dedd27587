"""Settings."""

import base64
import hashlib
import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.oauth_app import ClientCertificate, FederatedIdentity
from shared.settings import SettingsError, read_settings
from tests.conftest import TENANT_ID, settings_for
from tests.keys.test_client_authentication import certificate

ROOT = Path(__file__).parents[2]
GOOD = settings_for("UseDevelopmentStorage=true")
PUBLIC = {
    **GOOD,
    "MAILBIND_BASE_URL": "https://mailbind.example",
    "MAILBIND_REDIRECT_ORIGINS": "https://app.example",
    "MAILBIND_TABLES": "https://stmailbind.table.core.windows.net",
    "AzureWebJobsStorage": "",
    "AzureWebJobsStorage__queueServiceUri": "https://stmailbind.queue.core.windows.net",
    "MAILBIND_SEALING_KEY": base64.b64encode(hashlib.sha256(b"sealing").digest()).decode(),
}
READ = {
    name for file in (ROOT / "shared/settings").glob("*.py") for name in re.findall(r"MAILBIND_\w+", file.read_text())
}


def test_good_settings_are_read() -> None:
    taken = read_settings(GOOD)

    assert "https://login.microsoftonline.com" == taken.cloud.authority
    assert 24 * 3600 == taken.link_lifetime.total_seconds()
    assert ("https://graph.microsoft.com/Mail.ReadWrite.Shared",) == taken.oauth_app.scopes[:1]
    assert frozenset({GOOD["MAILBIND_OAUTH_TENANT"]}) == taken.oauth_app.tenants


def test_every_missing_setting_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        read_settings({})

    assert {
        "AzureWebJobsStorage__queueServiceUri",
        "MAILBIND_TABLES",
        "MAILBIND_BASE_URL",
        "MAILBIND_ADMIN_TOKEN_SHA256",
        "MAILBIND_SEALING_KEY",
        "MAILBIND_OAUTH_APP_ID",
        "MAILBIND_OAUTH_CLIENT_ID",
        "MAILBIND_OAUTH_CLIENT_SECRET",
        "MAILBIND_OAUTH_TENANT",
    } == set(re.findall(r"(\w+) is missing", str(refused.value)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAILBIND_BASE_URL", "http://mailbind.example"),
        ("MAILBIND_BASE_URL", "https://mailbind.example/path"),
        ("MAILBIND_ADMIN_TOKEN_SHA256", "plain-token-value"),
        ("MAILBIND_SEALING_KEY", "c2hvcnQtdmFsdWU="),
        ("MAILBIND_SEALING_KEY", "not base64 value!"),
        ("MAILBIND_SEALING_KEY_PREVIOUS", "not base64 value!"),
        ("MAILBIND_KEY_VAULT_KEY", "http://contoso.vault.azure.net/keys/value"),
        ("MAILBIND_KEY_VAULT_KEY", "https://contoso.vault.azure.net/secrets/value"),
        ("MAILBIND_KEY_VAULT_KEY", "https://contoso.vault.azure.net/keys/mailbind/no-version-value"),
        ("MAILBIND_KEY_VAULT_KEY_PREVIOUS", "value"),
        ("MAILBIND_DATA_KEY_DAYS", "0"),
        ("MAILBIND_OAUTH_AUTHENTICATION", "password-value"),
        ("MAILBIND_OAUTH_APP_ID", "short-value"),
        ("MAILBIND_OAUTH_CLIENT_ID", "no-guid-value"),
        ("MAILBIND_OAUTH_CREDENTIAL_REUSE", "maybe-value"),
        ("MAILBIND_OAUTH_SECRET_EXPIRES", "soon-value"),
        ("MAILBIND_ALLOWED_TENANTS", "no-guid-value"),
        ("MAILBIND_REDIRECT_ORIGINS", "https://app.example/with/path-value"),
        ("MAILBIND_AUTHORITY_HOST", "http://login-value.example"),
        ("MAILBIND_GRAPH_ROOT", "graph-value.example"),
        ("MAILBIND_IMAP_SERVER", "imap-value.example"),
        ("MAILBIND_LINK_HOURS", "0"),
        ("MAILBIND_LINK_HOURS", "99999"),
        ("MAILBIND_MAX_ANSWER_MIB", "0"),
        ("MAILBIND_MAX_ANSWER_MIB", "101"),
        ("MAILBIND_AGENDA_SHARDS", "many-value"),
        ("MAILBIND_CA_FILE", "/no/such/file-value"),
        ("MAILBIND_SAMPLE_APP", "http://value.example"),
        ("MAILBIND_SAMPLE_APP", "http://localhost:3000/value"),
        ("MAILBIND_CALLERS", "everybody-value"),
        ("MAILBIND_CALLER_AUDIENCE", "no-uri-value"),
    ],
)
def test_a_wrong_setting_is_named_without_its_value(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read_settings({**GOOD, name: value})

    assert name in str(refused.value)
    assert "value" not in str(refused.value)


def test_a_vault_key_is_preferred_to_a_local_key() -> None:
    vault = {"MAILBIND_KEY_VAULT_KEY": "https://contoso.vault.azure.net/keys/mailbind"}

    alone = read_settings({**GOOD, **vault, "MAILBIND_SEALING_KEY": ""}).keys
    both = read_settings({**GOOD, **vault}).keys
    local = read_settings(GOOD).keys

    assert (1, 0, False) == (len(alone.vault), len(alone.local), alone.local_wraps)
    assert (1, 1, False) == (len(both.vault), len(both.local), both.local_wraps)
    assert (0, 1, True) == (len(local.vault), len(local.local), local.local_wraps)
    assert 90 == local.rotation_interval.days


def test_a_previous_key_does_not_replace_the_key() -> None:
    before = {"MAILBIND_SEALING_KEY": "", "MAILBIND_SEALING_KEY_PREVIOUS": GOOD["MAILBIND_SEALING_KEY"]}

    with pytest.raises(SettingsError, match="MAILBIND_SEALING_KEY is missing"):
        read_settings({**GOOD, **before})


def test_each_authentication_method_requires_its_own_settings() -> None:
    without = {**GOOD, "MAILBIND_OAUTH_CLIENT_SECRET": ""}
    needs = {
        "secret": "MAILBIND_OAUTH_CLIENT_SECRET is missing",
        "certificate": "MAILBIND_OAUTH_CERTIFICATE is missing",
        "federated": "MAILBIND_OAUTH_MANAGED_IDENTITY is missing",
    }

    for kind, fault in needs.items():
        with pytest.raises(SettingsError) as refused:
            read_settings({**without, "MAILBIND_OAUTH_AUTHENTICATION": kind})
        assert f"settings: {fault}" == str(refused.value)
    identity = "1de27171-0000-4000-8000-0000000000a1"
    taken = read_settings({**without, "MAILBIND_OAUTH_AUTHENTICATION": "Federated", "AZURE_CLIENT_ID": identity})
    assert (FederatedIdentity(identity),) == taken.oauth_app.credentials


def test_a_certificate_needs_its_own_private_key(tmp_path: Path) -> None:
    (key, own), (_, other) = certificate(), certificate()
    kind = {"MAILBIND_OAUTH_AUTHENTICATION": "certificate"}
    file = tmp_path / "app.pem"
    file.write_text(own + key)

    (credential,) = read_settings({**GOOD, **kind, "MAILBIND_OAUTH_CERTIFICATE_FILE": str(file)}).oauth_app.credentials
    assert isinstance(credential, ClientCertificate)
    assert own.strip() == credential.certificate
    assert key.splitlines()[1] not in repr(credential)
    for wrong in (key, own, key + other, "-----BEGIN CERTIFICATE-----"):
        with pytest.raises(SettingsError, match="MAILBIND_OAUTH_CERTIFICATE must hold a certificate and its own"):
            read_settings({**GOOD, **kind, "MAILBIND_OAUTH_CERTIFICATE": wrong})


@pytest.mark.parametrize(
    "name",
    ["MAILBIND_ADMIN_TOKEN_SHA256", "MAILBIND_OAUTH_CLIENT_SECRET", "MAILBIND_OAUTH_TENANT", "MAILBIND_SEALING_KEY"],
)
def test_a_placeholder_of_the_example_is_no_value(name: str) -> None:
    example = json.loads((ROOT / "local.settings.json.example").read_text())["Values"]

    with pytest.raises(SettingsError, match=f"{name} still has the placeholder"):
        read_settings({**GOOD, name: example[name]})


@pytest.mark.parametrize("host", ["user@host.example", "user:x@host.example", "a.example\\@b.example", "a b.example"])
def test_an_origin_contains_nothing_that_hides_the_host(host: str) -> None:
    for name in ("MAILBIND_BASE_URL", "MAILBIND_AUTHORITY_HOST", "MAILBIND_REDIRECT_ORIGINS"):
        with pytest.raises(SettingsError, match=f"{name} must be"):
            read_settings({**PUBLIC, name: f"https://{host}"})


def test_a_secrets_expiry_is_a_date_or_a_time_in_utc() -> None:
    ends = "MAILBIND_OAUTH_SECRET_EXPIRES"

    assert read_settings(GOOD).oauth_app.secret_expires is None
    for written in ("2027-01-31", "2027-01-31T00:00:00Z", "2027-01-31T02:00:00+02:00"):
        assert datetime(2027, 1, 31, tzinfo=UTC) == read_settings({**GOOD, ends: written}).oauth_app.secret_expires


def test_organizations_need_a_list_of_tenants() -> None:
    with pytest.raises(SettingsError, match="MAILBIND_ALLOWED_TENANTS is required"):
        read_settings({**GOOD, "MAILBIND_OAUTH_TENANT": "organizations"})


ENTRA = {**GOOD, "MAILBIND_CALLER_AUDIENCE": "api://mailbind"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAILBIND_CALLER_TENANTS", "no-guid-value"),
        ("MAILBIND_CALLER_ACCOUNTS", "orders-value=*"),
        ("MAILBIND_CALLER_ACCOUNTS", "5f0c1d9e-0000-4000-8000-0000000000c1=*"),
        ("MAILBIND_CALLER_ACCOUNTS", "5f0c1d9e-0000-4000-8000-0000000000c1="),
    ],
)
def test_a_wrong_setting_about_applications_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read_settings({**ENTRA, name: value})

    assert name in str(refused.value)
    assert "value" not in str(refused.value)


def test_entra_tokens_are_accepted_only_with_an_audience() -> None:
    alone, both = read_settings(GOOD), read_settings(ENTRA)

    assert (True, None) == (alone.token_callers, alone.entra_trust)
    assert both.token_callers
    assert both.entra_trust is not None
    assert (frozenset({"api://mailbind"}), frozenset({TENANT_ID})) == (
        both.entra_trust.audiences,
        both.entra_trust.tenants,
    )


def test_entra_callers_need_an_audience_and_a_tenant() -> None:
    only = {**GOOD, "MAILBIND_CALLERS": "entra", "MAILBIND_ADMIN_TOKEN_SHA256": ""}
    anywhere = {"MAILBIND_OAUTH_TENANT": "organizations", "MAILBIND_ALLOWED_TENANTS": TENANT_ID}

    with pytest.raises(SettingsError, match="MAILBIND_CALLER_AUDIENCE is missing"):
        read_settings(only)
    with pytest.raises(SettingsError, match="MAILBIND_CALLER_TENANTS is missing"):
        read_settings({**only, **anywhere, "MAILBIND_CALLER_AUDIENCE": "api://mailbind"})
    assert not read_settings({**only, "MAILBIND_CALLER_AUDIENCE": "api://mailbind"}).token_callers


def test_the_example_names_every_setting_that_the_code_reads() -> None:
    code = "".join(
        file.read_text() for file in [*(ROOT / "shared/settings").glob("*.py"), ROOT / "shared/schedules.py"]
    )
    read = set(re.findall(r'"(MAILBIND_\w+|AZURE_CLIENT_ID)"', code)) | set(re.findall(r"%(\w+)%", code))
    example = json.loads((ROOT / "local.settings.json.example").read_text())["Values"]
    page = (ROOT / "docs/settings.md").read_text()

    assert not read - set(example) - {"AZURE_CLIENT_ID"}
    assert not [name for name in read if name not in page]


def test_the_printed_settings_hold_no_secret() -> None:
    printed = str(read_settings(GOOD))

    assert GOOD["MAILBIND_SEALING_KEY"] not in printed
    assert GOOD["MAILBIND_OAUTH_CLIENT_SECRET"] not in printed


NASTY = ["http://[", "https://[::1", "https://a:99999", "https://a:b", "²", "\x00", "https://\u202e.example", "a" * 300]


@settings(max_examples=600)
@given(
    changes=st.dictionaries(
        st.sampled_from(sorted({*GOOD, *READ})),
        st.one_of(st.sampled_from(NASTY), st.text(max_size=40), st.binary(max_size=20).map(repr)),
        max_size=4,
    )
)
def test_every_setting_value_is_accepted_or_reported(changes: dict[str, str]) -> None:
    """Only SettingsError is raised, so that the log names the wrong setting."""
    with suppress(SettingsError):
        read_settings({**GOOD, **changes})
