"""What the documentation promises about the deployment, tested on the templates.

The table "What the deployment promises" in docs/threat-model.md names the test of each promise.
"""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.infra.test_bicep import INFRA, MAIN, PUBLISHED_ROLES, ROOT, app_settings, parsed, resource

THREAT_MODEL = ROOT / "docs/threat-model.md"


def conditional(value: Any) -> tuple[Any, Any, Any]:
    """The condition, the value if true and the value if false of a Bicep conditional."""
    operands = value["operator"]["operands"]
    return operands["condition"], operands["true_value"], operands["false_value"]


def dotted(value: Any) -> str:
    """A Bicep property access as `a.b.c`."""
    if isinstance(value, str):
        return value
    operands = value["operator"]["operands"]
    return f"{dotted(operands['operand_1'])}.{dotted(operands['operand_2'])}"


def name_tested_for_empty(condition: Any) -> str:
    """The name in a condition `empty(name)`."""
    assert "empty" == condition["function"]["type"]
    return str(condition["function"]["parameters"]["item_to_test"])


def test_vault_logs_every_unwrap() -> None:
    """Without a diagnostic setting Key Vault logs nothing.

    https://learn.microsoft.com/azure/key-vault/general/logging
    """
    log = resource("app/vault.bicep", "log")

    assert "Microsoft.Insights/diagnosticSettings" == parsed(INFRA / "app/vault.bicep")["resources"]["log"]["type"]
    assert ("vault", "workspaceId") == (log["scope"], log["properties"]["workspaceId"])
    assert [{"category": "AuditEvent", "enabled": True}] == log["properties"]["logs"]
    argument = parsed(MAIN)["modules"]["vault"]["config"]["params"]["workspaceId"]
    assert "monitoring.outputs.workspaceId" == dotted(argument)
    assert "workspace.id" == dotted(parsed(INFRA / "app/monitoring.bicep")["outputs"]["workspaceId"]["value"])


@pytest.mark.parametrize(("file", "name"), [("app/storage.bicep", "account"), ("app/vault.bicep", "vault")])
def test_only_private_networking_closes_storage_and_vault(file: str, name: str) -> None:
    properties = resource(file, name)["properties"]

    assert ("isPrivate", "Deny", "Allow") == conditional(properties["networkAcls"]["defaultAction"])
    assert ("isPrivate", "Disabled", "Enabled") == conditional(properties["publicNetworkAccess"])
    module = "storage" if "storage" in file else "vault"
    assert "privateNetworking" == parsed(MAIN)["modules"][module]["config"]["params"]["isPrivate"]
    assert False is parsed(MAIN)["parameters"]["privateNetworking"]["default"]


def test_every_service_in_use_has_a_private_endpoint() -> None:
    targets = parsed(INFRA / "app/network.bicep")["variables"]["targets"]["value"]

    assert {"blob", "queue", "table", "vault"} == {target["group"] for target in targets}


def test_only_the_proxy_can_reach_an_app_behind_it() -> None:
    """https://learn.microsoft.com/azure/app-service/app-service-ip-restrictions."""
    site = resource("app/function.bicep", "site")["properties"]["siteConfig"]
    variables = parsed(INFRA / "app/function.bicep")["variables"]

    assert "proxyRules" == site["ipSecurityRestrictions"]
    condition, without, with_proxy = conditional(site["ipSecurityRestrictionsDefaultAction"])
    assert ("proxyRules", "Allow", "Deny") == (name_tested_for_empty(condition), without, with_proxy)
    condition, without, with_proxy = conditional(app_settings()["MAILBIND_PROXIES"])
    assert ("proxyRules", "0", "1") == (name_tested_for_empty(condition), without, with_proxy)
    condition, none, (rule,) = conditional(variables["frontDoorRules"]["value"])
    assert ("frontDoorId", []) == (name_tested_for_empty(condition), none)
    assert ("ServiceTag", "AzureFrontDoor.Backend", "Allow") == (rule["tag"], rule["ipAddress"], rule["action"])
    assert {"'x-azure-fdid'": ["frontDoorId"]} == rule["headers"]


def test_app_behind_a_proxy_needs_a_base_url() -> None:
    """The base URL is in every link, so it must lead through the proxy."""
    condition, without, _given = conditional(parsed(MAIN)["variables"]["host"]["value"])
    is_behind, failure, default_host = conditional(without)

    assert ("baseUrl", "isBehindProxy") == (name_tested_for_empty(condition), is_behind)
    assert "fail" == failure["function"]["type"]
    assert "var isBehindProxy = !empty(frontDoorId) || !empty(proxyAddresses)\n" in MAIN.read_text()
    assert str(default_host).endswith(".azurewebsites.net")


def test_api_tokens_need_a_role_and_people_no_assignment() -> None:
    sign_in, api = (resource("app/registration.bicep", name) for name in ("servicePrincipal", "apiPrincipal"))
    application = resource("app/registration.bicep", "application")

    assert api["appRoleAssignmentRequired"] is True
    assert ["appId"] == list(sign_in)
    assert "roles" == resource("app/registration.bicep", "api")["appRoles"]
    assert not {"appRoles", "identifierUris"} & set(application)


def test_script_registers_the_same_two_applications(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    (tmp_path / "az").write_text(f'#!/bin/sh\necho "$*" >>{calls}\ncase "$*" in *"app create"*) echo "id-$5";; esac\n')
    (tmp_path / "az").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "API_URI": "api://tenant/mailbind"}
    script = str(INFRA / "scripts/app-registration.sh")
    subprocess.run([script, "https://app.example", "principal"], check=True, env=environment, capture_output=True)  # noqa: S603 - our own script
    calls_made = calls.read_text()

    required = r'appRoleAssignmentRequired":true.*servicePrincipals\(appId=\'(.*?)\'\)'
    assert ["id-mailbind-api"] == re.findall(required, calls_made)
    assert ["id-mailbind-api"] == re.findall(r"--id (\S+) --requested-access-token-version 2 --app-roles", calls_made)
    assert ["id-mailbind-api"] == re.findall(r"--id (\S+) --identifier-uris api://tenant/mailbind", calls_made)
    assert ["id-mailbind"] == re.findall(r"--id (\S+) --web-redirect-uris https://app.example/oauth", calls_made)
    assert ["id-mailbind"] == re.findall(r"federated-credential create --id (\S+)", calls_made)


def test_sign_in_app_has_no_secret_and_delegated_scopes_only() -> None:
    application = resource("app/registration.bicep", "application")
    access = parsed(INFRA / "app/registration.bicep")["variables"]["access"]["value"]

    assert not {"passwordCredentials", "keyCredentials"} & set(application)
    assert "Scope" == access["config"]["type"]
    grants = application["web"]["implicitGrantSettings"]
    assert {False} == set(grants.values())
    assert "federated" == app_settings()["MAILBIND_OAUTH_AUTHENTICATION"]


def test_app_has_five_roles_each_on_one_resource() -> None:
    scopes = {}
    for file in sorted(INFRA.glob("app/*.bicep")):
        for one in parsed(file).get("resources", {}).values():
            if one["type"] == "Microsoft.Authorization/roleAssignments":
                scopes[file.stem] = one["config"]["config"]["scope"]
    roles = set().union(*(parsed(INFRA / f"app/{name}.bicep")["variables"]["roles"]["value"] for name in scopes))

    assert {"storage": "account", "vault": "vault", "monitoring": "insights"} == scopes
    assert set(PUBLISHED_ROLES) == {name.strip("'") for name in roles}


def test_connections_use_https_and_deployment_has_no_password() -> None:
    site = resource("app/function.bicep", "site")["properties"]
    account = resource("app/storage.bicep", "account")["properties"]
    passwords = [resource("app/function.bicep", f"{name}Password") for name in ("ftp", "scm")]

    assert site["httpsOnly"]
    assert {"1.2"} == {site["siteConfig"][name] for name in ("minTlsVersion", "scmMinTlsVersion")}
    assert (True, "TLS1_2") == (account["supportsHttpsTrafficOnly"], account["minimumTlsVersion"])
    assert ["ftp", "scm"] == [one["name"] for one in passwords]
    assert {False} == {one["properties"]["allow"] for one in passwords}


def test_responses_have_hsts() -> None:
    headers = json.loads((ROOT / "host.json").read_text())["extensions"]["http"]["customHeaders"]

    assert {"Strict-Transport-Security": "max-age=31536000", "X-Content-Type-Options": "nosniff"} == headers


def test_no_log_line_is_sampled_away() -> None:
    sampler = {name: value for name, value in app_settings().items() if name.startswith("OTEL_TRACES_SAMPLER")}

    assert {
        "OTEL_TRACES_SAMPLER": "microsoft.fixed_percentage",
        "OTEL_TRACES_SAMPLER_ARG": "1.0",
    } == sampler


def test_every_promise_names_an_existing_test() -> None:
    table = THREAT_MODEL.read_text().partition("## What the deployment promises")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(test_\w+)`", table))
    tests = {
        name for file in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }

    assert len(named) > 10
    assert [] == sorted(named - tests)
