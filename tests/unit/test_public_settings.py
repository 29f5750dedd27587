"""Settings at a public address: what is unsafe is refused."""

import base64
import hashlib
import re
from pathlib import Path

import pytest

from shared.settings import SettingsError, read_settings
from tests.unit.test_settings import GOOD, PUBLIC, READ, ROOT

KEY_PREFIX = "https://{}/keys/mailbind"


def test_an_empty_list_of_origins_is_for_local_use_only() -> None:
    with pytest.raises(SettingsError, match="MAILBIND_REDIRECT_ORIGINS is missing"):
        read_settings({**PUBLIC, "MAILBIND_REDIRECT_ORIGINS": ""})
    allowed = read_settings({**PUBLIC, "MAILBIND_REDIRECT_ORIGINS": "https://App.example, https://b.example:8443"})
    assert {"https://app.example", "https://b.example:8443"} == allowed.redirect_origins


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAILBIND_WEBHOOKS_LOOPBACK", "true"),
        ("MAILBIND_SAMPLE_APP", "http://localhost:3000"),
        ("MAILBIND_REDIRECT_ORIGINS", "https://app.example,http://value.example"),
        ("MAILBIND_TABLES", "UseDevelopmentStorage=True"),
        ("MAILBIND_TABLES", "http://value.table.core.windows.net"),
        ("MAILBIND_TABLES", "https://127.0.0.1:10002/devstoreaccount1"),
        ("MAILBIND_TABLES", "DefaultEndpointsProtocol=http;AccountName=value;AccountKey=dmFsdWU="),
        ("MAILBIND_TABLES", "AccountName=devstoreaccount1;AccountKey=dmFsdWU=;EndpointSuffix=core.windows.net"),
        ("MAILBIND_TABLES", "AccountName=value;AccountKey=dmFsdWU=;TableEndpoint=http://value.example"),
        ("MAILBIND_TABLES", "AccountName=value;AccountKey=dmFsdWU=;TableEndpoint=https://azurite:10002/value"),
        ("AzureWebJobsStorage", "UseDevelopmentStorage=true"),
        ("AzureWebJobsStorage__queueServiceUri", "http://value.queue.core.windows.net"),
        ("MAILBIND_AUTHORITY_HOST", "https://localhost:7072"),
        ("MAILBIND_AUTHORITY_HOST", "https://127.0.0.1:7072"),
        ("MAILBIND_AUTHORITY_HOST", "https://2130706433"),
        ("MAILBIND_AUTHORITY_HOST", "https://0x7f.1"),
        ("MAILBIND_AUTHORITY_HOST", "https://LOCALHOST."),
        ("MAILBIND_GRAPH_ROOT", "https://[::1]:7072"),
        ("MAILBIND_GRAPH_ROOT", "https://10.0.0.7"),
        ("MAILBIND_OUTLOOK_ROOT", "https://tenant:7072"),
        ("MAILBIND_IMAP_SERVER", "127.0.0.1:7993"),
        ("MAILBIND_IMAP_SERVER", "imap.localhost:7993"),
        ("MAILBIND_KEY_VAULT_KEY", KEY_PREFIX.format("127.0.0.1:7072")),
        ("MAILBIND_KEY_VAULT_KEY_PREVIOUS", KEY_PREFIX.format("vault.local")),
        ("MAILBIND_ADMIN_TOKEN_SHA256", hashlib.sha256(b"").hexdigest()),
        ("MAILBIND_ADMIN_TOKEN_SHA256", hashlib.sha256(b"0" * 64).hexdigest().upper()),
        ("MAILBIND_ADMIN_TOKEN_SHA256", "0" * 64),
        ("MAILBIND_SEALING_KEY", base64.b64encode(bytes(32)).decode()),
        ("MAILBIND_SEALING_KEY", base64.b64encode(bytes(range(32))).decode()),
        ("MAILBIND_SEALING_KEY", base64.b64encode(b"value" * 6 + b"va").decode()),
        ("MAILBIND_FORMS_PER_MINUTE", "1000000"),
        ("MAILBIND_PAGES_PER_MINUTE", "10001"),
        ("MAILBIND_BAD_TOKENS_PER_MINUTE", "1001"),
    ],
)
def test_unsafe_settings_are_refused_at_a_public_address(name: str, value: str) -> None:
    local = {name: PUBLIC[name] for name in ("MAILBIND_REDIRECT_ORIGINS", "MAILBIND_TABLES")} | {name: value}

    assert read_settings(PUBLIC)
    assert read_settings({**GOOD, **local})
    with pytest.raises(SettingsError) as refused:
        read_settings({**PUBLIC, name: value})

    assert re.fullmatch(rf"settings: {name} \S[^;]*(; (?!MAILBIND)\S.*)?", str(refused.value))
    assert "value" not in str(refused.value)


# Settings that need no check at a public address, each with the reason.
AS_SAFE_IN_PUBLIC = {
    "MAILBIND_AGENDA_SHARDS": "a size",
    "MAILBIND_ALLOWED_TENANTS": "tenant ids; needed with organizations",
    "MAILBIND_CALLERS": "who may call; each kind has its own checks",
    "MAILBIND_CALLER_ACCOUNTS": "narrows",
    "MAILBIND_CALLER_AUDIENCE": "names the API; a token also needs an issuer and a role",
    "MAILBIND_CALLER_TENANTS": "tenant ids",
    "MAILBIND_DATA_KEY_DAYS": "at most ten years",
    "MAILBIND_HAND_OUT": "the operator's choice, which people read before they sign in",
    "MAILBIND_LINK_HOURS": "at most thirty days",
    "MAILBIND_MAX_ANSWER_MIB": "a size",
    "MAILBIND_OAUTH_APP_ID": "a name",
    "MAILBIND_OAUTH_APP_NAME": "a name",
    "MAILBIND_OAUTH_BASE_SCOPES": "the operator's choice, shown to the person",
    "MAILBIND_OAUTH_CERTIFICATE": "Microsoft knows the other half",
    "MAILBIND_OAUTH_CERTIFICATE_FILE": "as above",
    "MAILBIND_OAUTH_CLIENT_ID": "an id",
    "MAILBIND_OAUTH_CLIENT_SECRET": "Microsoft made it",
    "MAILBIND_OAUTH_CLIENT_SECRET_2": "as above",
    "MAILBIND_OAUTH_CREDENTIAL_REUSE": "the operator's choice, in the threat model",
    "MAILBIND_OAUTH_MANAGED_IDENTITY": "an id",
    "MAILBIND_OAUTH_SECRET_EXPIRES": "a date to warn of",
    "MAILBIND_OAUTH_TENANT": "a tenant id, or organizations with a list",
    "MAILBIND_REMEMBER_SECONDS": "at most five minutes",
    "MAILBIND_SEALING_KEY_PREVIOUS": "opens what is there, and seals nothing",
    "MAILBIND_TICK_ROWS": "a size",
    "MAILBIND_WARN_DAYS": "when to warn",
}


def test_every_setting_is_classified_for_a_public_address() -> None:
    page = (ROOT / "docs/settings.md").read_text().partition("## With a public address")[2]
    told = set(re.findall(r"`(MAILBIND_\w+)`|`(MAILBIND_\w+)=", page))

    assert {one or other for one, other in told} | set(AS_SAFE_IN_PUBLIC) == READ


@pytest.mark.parametrize(
    "base",
    [
        "https://func-mailbind.azurewebsites.net",
        "https://FUNC-mailbind.azurewebsites.us",
        "https://func-mailbind.azurewebsites.net.",
    ],
)
def test_a_proxy_needs_the_base_url_to_be_its_own(base: str) -> None:
    own = {**PUBLIC, "MAILBIND_BASE_URL": base}

    assert 0 == read_settings(own).proxies
    with pytest.raises(SettingsError, match=r"MAILBIND_PROXIES must be 0 .* close the app to all but the proxy"):
        read_settings({**own, "MAILBIND_PROXIES": "1"})


@pytest.mark.parametrize("base", ["https://mail.contoso.example", "https://azurewebsites.net.contoso.example"])
def test_a_proxy_is_accepted_with_a_custom_domain(base: str) -> None:
    assert 1 == read_settings({**PUBLIC, "MAILBIND_PROXIES": "1", "MAILBIND_BASE_URL": base}).proxies


def test_some_local_settings_are_allowed_at_a_public_address(tmp_path: Path) -> None:
    """Each of them can be a deliberate choice, and is documented."""
    roots = tmp_path / "roots.pem"
    roots.touch()
    chosen = {
        "MAILBIND_TABLES": "AccountName=st;AccountKey=c3Q=;TableEndpoint=https://st.table.core.windows.net",
        "MAILBIND_CA_FILE": str(roots),
        "MAILBIND_REDIRECT_ORIGINS": "https://app.example,http://localhost:3000",
        "MAILBIND_AUTHORITY_HOST": "https://login.microsoftonline.us",
        "MAILBIND_GRAPH_ROOT": "https://graph.microsoft.us",
        "MAILBIND_IMAP_SERVER": "outlook.office365.us:993",
    }

    assert read_settings({**PUBLIC, **chosen}).keys.local_wraps
