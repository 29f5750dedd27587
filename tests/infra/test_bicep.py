"""The Bicep files, parsed with pycep-parser. It does not check types; the workflow compiles them."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pycep import BicepParser

from shared.domain.caller import Scope
from shared.domain.clouds import BASE_SCOPES
from shared.settings import read_settings
from tests.unit.test_settings import READ

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
FILES = [INFRA / "main.bicep", *INFRA.glob("app/*.bicep"), *INFRA.glob("monitoring/*.bicep")]
MAIN = INFRA / "main.bicep"
GUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"

# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
PUBLISHED_ROLES = {
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Queue Data Contributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    "Key Vault Crypto Service Encryption User": "e147488a-f6f5-4113-8e2d-b22465e65bf6",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
}
# https://learn.microsoft.com/graph/permissions-reference, delegated
PUBLISHED_SCOPES = {
    "openid": "37f7f235-527c-4136-accd-4a02d197296e",
    "profile": "14dad69e-099b-42c9-810b-d002981feec1",
    "offline_access": "7427e0e9-2fba-42fe-b0c0-848c9e6a8182",
    "User.Read": "e1fe6dd8-ba31-4d61-89e7-88639da4683d",
    "Mail.ReadWrite.Shared": "5df07973-7d5d-46ed-9847-1271055cbd51",
    "Mail.Send.Shared": "a367ab51-6b49-43bf-a716-a1fb06d2a174",
    "IMAP.AccessAsUser.All": "652390e4-393a-48de-9484-05f9b1212954",
    "POP.AccessAsUser.All": "d7b7f2d9-0f45-4ea1-9d42-e50810c06991",
    "SMTP.Send": "258f6531-6087-4cc4-bb90-092c5fb3ed3f",
}
# Settings that the host and its worker read.
# https://learn.microsoft.com/azure/azure-functions/functions-app-settings
# https://learn.microsoft.com/azure/azure-functions/functions-identity-based-connections-tutorial
PLATFORM_SETTINGS = {
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__clientId",
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__tableServiceUri",
    "AzureWebJobsDisableHomepage",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
}
# Settings that the template does not set: their defaults are right, or they belong to another authentication method.
OPTIONAL_SETTINGS = {
    "AzureWebJobsStorage",
    "MAILBIND_ALLOWED_TENANTS",
    "MAILBIND_AGENDA_SHARDS",
    "MAILBIND_AUTHORITY_HOST",
    "MAILBIND_BAD_TOKENS_PER_MINUTE",
    "MAILBIND_CALLER_ACCOUNTS",
    "MAILBIND_CALLER_TENANTS",
    "MAILBIND_CA_FILE",
    "MAILBIND_DATA_KEY_DAYS",
    "MAILBIND_FORMS_PER_MINUTE",
    "MAILBIND_GRAPH_ROOT",
    "MAILBIND_IMAP_SERVER",
    "MAILBIND_KEY_VAULT_KEY_PREVIOUS",
    "MAILBIND_LINK_HOURS",
    "MAILBIND_MAX_ANSWER_MIB",
    "MAILBIND_OAUTH_CERTIFICATE",
    "MAILBIND_OAUTH_CERTIFICATE_FILE",
    "MAILBIND_OAUTH_CLIENT_SECRET",
    "MAILBIND_OAUTH_CLIENT_SECRET_2",
    "MAILBIND_OAUTH_MANAGED_IDENTITY",
    "MAILBIND_OAUTH_SECRET_EXPIRES",
    "MAILBIND_OUTLOOK_ROOT",
    "MAILBIND_PAGES_PER_MINUTE",
    "MAILBIND_REMEMBER_SECONDS",
    "MAILBIND_SAMPLE_APP",
    "MAILBIND_SEALING_KEY",
    "MAILBIND_SEALING_KEY_PREVIOUS",
    "MAILBIND_TICK_ROWS",
    "MAILBIND_WARN_DAYS",
    "MAILBIND_WEBHOOKS_LOOPBACK",
}


@cache
def parsed(file: Path) -> dict[str, Any]:
    return dict(BicepParser(add_line_numbers=False).parse(file_path=file))


def resource(file: str, name: str) -> dict[str, Any]:
    return dict(parsed(INFRA / file)["resources"][name]["config"])


def app_settings() -> dict[str, Any]:
    return dict(resource("app/function.bicep", "settings")["properties"])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_file_parses(file: Path) -> None:
    assert parsed(file)["resources"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_module_parameters_and_outputs_match(file: Path) -> None:
    """Every required parameter is set, every parameter that is set exists, and so does every output that is used."""
    text = file.read_text()
    for name, module in parsed(file).get("modules", {}).items():
        path = (file.parent / module["detail"]["path"]).resolve()
        parameters = parsed(path)["parameters"]
        required = {key for key, parameter in parameters.items() if parameter.get("default") is None}
        config = module["config"]  # a conditional module has its config one level deeper
        arguments = set(config.get("config", config)["params"])

        assert required <= arguments <= set(parameters), name
        assert set(re.findall(rf"\b{name}!?\.outputs\.(\w+)", text)) <= set(parsed(path).get("outputs", {})), name


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_parameter_and_variable_is_used(file: Path) -> None:
    text = file.read_text()

    for name in [*parsed(file)["parameters"], *parsed(file).get("variables", {})]:
        assert len(re.findall(rf"\b{name}\b", text)) > 1, name


def test_azd_parameters_match_the_template() -> None:
    arguments = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    parameters = parsed(MAIN)["parameters"]

    assert (
        {name for name, parameter in parameters.items() if parameter.get("default") is None}
        <= set(arguments)
        <= set(parameters)
    )


def test_settings_of_the_template_are_those_the_app_reads() -> None:
    code = "".join(path.read_text() for path in (ROOT / "shared").rglob("*.py"))
    names_read = READ | {"AzureWebJobsStorage", "AzureWebJobsStorage__queueServiceUri", "AZURE_CLIENT_ID"}
    names_read |= set(re.findall(r'schedule="%(\w+)%"', code))

    assert names_read == (set(app_settings()) - PLATFORM_SETTINGS) | OPTIONAL_SETTINGS
    assert not set(app_settings()) & OPTIONAL_SETTINGS


def test_app_accepts_the_settings_of_the_template() -> None:
    deployed = {
        "MAILBIND_TABLES": "https://stmailbind.table.core.windows.net/",
        "AzureWebJobsStorage__queueServiceUri": "https://stmailbind.queue.core.windows.net/",
        "MAILBIND_BASE_URL": "https://func-mailbind.azurewebsites.net",
        "MAILBIND_REDIRECT_ORIGINS": "https://myapp.example",
        "MAILBIND_KEY_VAULT_KEY": "https://kv-mailbind.vault.azure.net/keys/mailbind",
        "MAILBIND_CALLER_AUDIENCE": "api://7d1b2f0a-0000-4000-8000-00000000c0de/mailbind-x,5f0c1d9e-0000-4000-8000-0000000000c1",
        "MAILBIND_OAUTH_APP_ID": "AAAB" + "x" * 12,
        "MAILBIND_OAUTH_CLIENT_ID": "5f0c1d9e-0000-4000-8000-0000000000c1",
        "MAILBIND_OAUTH_TENANT": "7d1b2f0a-0000-4000-8000-00000000c0de",
        "MAILBIND_OAUTH_CREDENTIAL_REUSE": "False",
        "MAILBIND_OAUTH_BASE_SCOPES": "api,imap",
        "AZURE_CLIENT_ID": "1de27171-0000-4000-8000-0000000000a1",
    }
    template_values = {
        name: value for name, value in app_settings().items() if name not in deployed and isinstance(value, str)
    }

    entra = read_settings(
        {**template_values, **deployed, "MAILBIND_CALLERS": "entra", "MAILBIND_ADMIN_TOKEN_SHA256": ""}
    )
    both = {"MAILBIND_CALLERS": "tokens,entra", "MAILBIND_ADMIN_TOKEN_SHA256": "0123456789abcdef" * 4}
    assert not entra.token_callers
    assert read_settings({**template_values, **deployed, **both}).token_callers


def test_role_and_scope_ids_are_the_published_ones() -> None:
    text = {file: file.read_text() for file in FILES}
    ids = dict(re.findall(rf"^ +'?([\w. ]+?)'?: '({GUID})'$", "".join(text.values()), re.MULTILINE))

    assert {**PUBLISHED_ROLES, **PUBLISHED_SCOPES} == ids
    assert {scope for scopes in BASE_SCOPES.values() for scope in scopes} <= set(PUBLISHED_SCOPES)


def test_script_has_the_scopes_and_roles_of_the_template() -> None:
    script = (INFRA / "scripts/app-registration.sh").read_text()

    assert PUBLISHED_SCOPES == {name: guid for guid, name in re.findall(rf"({GUID}) # (\S+)", script)}
    assert set(Scope) == set(re.findall(r"for value in (.*); do", script)[0].split())


def test_every_scope_is_an_app_role() -> None:
    roles = parsed(INFRA / "app/registration.bicep")["variables"]["callerRoles"]["value"]

    assert set(Scope) == {role["value"] for role in roles}


def test_no_key_or_connection_string_gives_access() -> None:
    account = resource("app/storage.bicep", "account")["properties"]
    vault = resource("app/vault.bicep", "vault")["properties"]
    everything = "".join(file.read_text() for file in FILES)

    assert {False} == {account["allowSharedKeyAccess"], account["allowBlobPublicAccess"]}
    assert {True} == {vault["enableRbacAuthorization"], vault["enablePurgeProtection"], vault["enableSoftDelete"]}
    assert resource("app/monitoring.bicep", "insights")["properties"]["DisableLocalAuth"] is True
    assert not re.findall(r"listKeys|listSecrets|AccountKey|SharedAccess|clientSecret", everything)


def test_site_has_no_property_that_flex_consumption_rejects() -> None:
    """Issues 21032 and 22254 of microsoft/azure-pipelines-tasks, and Microsoft's page on app settings.

    https://learn.microsoft.com/azure/azure-functions/functions-app-settings
    """
    rejected = {
        "alwaysOn",
        "ftpsState",
        "functionAppScaleLimit",
        "functionsRuntimeScaleMonitoringEnabled",
        "linuxFxVersion",
        "netFrameworkVersion",
        "use32BitWorkerProcess",
    }

    assert not rejected & set(resource("app/function.bicep", "site")["properties"]["siteConfig"])
    assert not {"FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_EXTENSION_VERSION", "WEBSITE_RUN_FROM_PACKAGE"} & set(
        app_settings()
    )


def test_every_query_is_in_an_alert_or_the_workbook() -> None:
    loaded = {
        file.parent / name for file in FILES for name in re.findall(r"loadTextContent\('(.+?)'\)", file.read_text())
    }

    assert set(INFRA.glob("monitoring/*.kql")) == loaded


def test_alert_windows_overlap() -> None:
    """A line arrives minutes late. If windows did not overlap, it could be in none of them."""
    rules = parsed(INFRA / "monitoring/alerts.bicep")["variables"]["rules"]["value"]
    minutes = {"M": 1, "H": 60}
    spans = {
        rule["name"]: [int(rule[key][2:-1]) * minutes[rule[key][-1]] for key in ("every", "window")] for rule in rules
    }

    assert len(spans) > 5
    assert {} == {name: span for name, span in spans.items() if span[1] < span[0] + 10}


def test_worker_sends_no_telemetry_of_its_own() -> None:
    """With either of these settings the host does not export the worker's lines, so alerts and audit would be empty."""
    telemetry_settings = {"PYTHON_ENABLE_OPENTELEMETRY", "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY"}

    assert "OpenTelemetry" == json.loads((ROOT / "host.json").read_text())["telemetryMode"]
    assert not telemetry_settings & (set(app_settings()) | PLATFORM_SETTINGS)


def test_every_skipped_checkov_check_has_a_reason() -> None:
    skipped = re.findall(r"- CKV.*", (INFRA / "checks/checkov.yaml").read_text())

    assert skipped
    assert [] == [line for line in skipped if not re.fullmatch(r"- CKV2?_\w+ # .{10,}", line)]


def test_function_app_is_flex_consumption_with_the_pinned_python() -> None:
    flex = resource("app/function.bicep", "site")["properties"]["functionAppConfig"]

    assert "FC1" == resource("app/function.bicep", "plan")["sku"]["name"]
    assert {"name": "python", "version": (ROOT / ".python-version").read_text().strip()} == flex["runtime"]
    assert "httpConcurrency" == flex["scaleAndConcurrency"]["triggers"]["http"]["perInstanceConcurrency"]
    assert 16 <= parsed(MAIN)["parameters"]["httpConcurrency"]["default"]
