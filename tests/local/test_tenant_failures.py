"""Every failure can be armed, and its response has the form of Microsoft's."""

import json
import re
import time

import httpx
import pytest

from infra.local.tenant.failures import ENTRA_FAILURES, GATEWAY_FAILURES, GRAPH_FAILURES, find_failure
from shared.domain.entra_errors import ERROR_WORDS, RULES_BY_AADSTS_NUMBER
from tests.local.tenant_visitor import ALICE, BOB, Browser, LocalTenant

INBOX = "/users/support@contoso.example/mailFolders/inbox"


def test_catalogue_has_every_known_number() -> None:
    known, numbers = set(map(str, RULES_BY_AADSTS_NUMBER)), {failure.code for failure in ENTRA_FAILURES.values()}

    assert set() == known - numbers
    assert set() == set(ERROR_WORDS) - {failure.error for failure in ENTRA_FAILURES.values()}


@pytest.mark.parametrize("key", sorted(ENTRA_FAILURES))
def test_every_row_has_a_source_and_a_complete_text(key: str) -> None:
    failure = ENTRA_FAILURES[key]

    assert failure.source
    assert failure.error
    known = {"client", "client_name", "tenant", "issued", "valid_from", "resource", "person", "scope"}
    asked_of_code = {"redirect_uri", "parameter", "subject"}
    assert set() == set(re.findall(r"\$(\w+)", failure.text)) - known - asked_of_code


@pytest.mark.parametrize("key", sorted(ENTRA_FAILURES))
def test_every_entra_failure_can_be_armed(tenant: LocalTenant, key: str) -> None:
    tenant.control("fail", endpoint="token", failure=key)

    response = tenant.refresh("1.anything")

    failure, body = ENTRA_FAILURES[key], response.json()
    assert (failure.status, [int(failure.code), *failure.further_codes]) == (response.status_code, body["error_codes"])
    assert (failure.error, failure.suberror) == (body["error"], body.get("suberror"))
    assert failure.claims == isinstance(json.loads(body.get("claims", "null")), dict)


@pytest.mark.parametrize("key", sorted(GRAPH_FAILURES))
def test_every_graph_failure_can_be_armed(tenant: LocalTenant, key: str) -> None:
    token = tenant.access_token_of(ALICE)
    tenant.control("fail", endpoint="graph", failure=key)

    response = tenant.graph(INBOX, token)

    assert (GRAPH_FAILURES[key].status, GRAPH_FAILURES[key].code) == (
        response.status_code,
        response.json()["error"]["code"],
    )
    assert 200 == tenant.graph(INBOX, token).status_code


def test_client_faults_are_401_and_grant_faults_are_400() -> None:
    """RFC 6749 section 5.2."""
    statuses = {
        failure.error: failure.status for failure in ENTRA_FAILURES.values() if failure.kind in ("app_fault", "loop")
    }

    assert {"invalid_client": 401, "invalid_request": 400, "invalid_grant": 400} == statuses


def test_step_up_has_claims_as_a_string(tenant: LocalTenant) -> None:
    tenant.control("fail", endpoint="token", failure="50076")

    body = tenant.refresh(tenant.refresh_token_of(ALICE)).json()

    assert ("invalid_grant", "basic_action") == (body["error"], body["suberror"])
    assert "capolids" in json.loads(body["claims"])["access_token"]


def test_graph_challenge_has_claims_in_its_header(tenant: LocalTenant) -> None:
    token = tenant.access_token_of(ALICE)
    tenant.control("fail", endpoint="graph", failure="TokenIssuedBeforeRevocationTimestamp")

    header = tenant.graph("/me", token).headers["www-authenticate"]

    assert 'error="insufficient_claims", claims="' in header


@pytest.mark.parametrize("key", sorted(GATEWAY_FAILURES))
def test_gateway_error_has_no_json(tenant: LocalTenant, key: str) -> None:
    tenant.control("fail", endpoint="token", failure=key)

    response = tenant.refresh("1.anything")

    assert (int(key[5:]), True) == (response.status_code, response.text.startswith("<html>"))


def test_graph_has_gateway_errors_too(tenant: LocalTenant) -> None:
    token = tenant.access_token_of(ALICE)
    tenant.control("fail", endpoint="graph", failure="http-502", retryAfter=4)

    response = tenant.graph("/me", token)

    assert (502, "4", True) == (
        response.status_code,
        response.headers["retry-after"],
        response.text.startswith("<html>"),
    )


def test_fault_occurs_as_often_as_it_was_armed(tenant: LocalTenant) -> None:
    token = tenant.refresh_token_of(ALICE)
    tenant.control("fail", endpoint="token", failure="50000", times=2)

    assert [500, 500, 200] == [tenant.refresh(token).status_code for _ in range(3)]


def test_fault_can_be_limited_to_a_person(tenant: LocalTenant) -> None:
    alice, bob = tenant.refresh_token_of(ALICE), tenant.refresh_token_of(BOB)
    tenant.control("fail", endpoint="token", failure="53003", person=ALICE)

    assert [200, 400, 200] == [tenant.refresh(token).status_code for token in (bob, alice, alice)]


def test_fault_can_be_limited_to_a_grant_type(tenant: LocalTenant, browser: Browser) -> None:
    tenant.control("fail", endpoint="token", failure="90033", grant="authorization_code")
    code = browser.code_of(ALICE)

    assert 200 == tenant.refresh(tenant.refresh_token_of(ALICE)).status_code
    assert 503 == tenant.redeem(code).status_code
    assert 200 == tenant.redeem(code).status_code


def test_throttling_has_a_retry_after_header(tenant: LocalTenant) -> None:
    token, access = tenant.refresh_token_of(ALICE), tenant.access_token_of(ALICE)
    tenant.control("throttle", endpoint="token", times=1, retryAfter=7)
    tenant.control("throttle", endpoint="graph", times=1, retryAfter=3)

    answers = [tenant.refresh(token), tenant.graph("/me", access)]

    assert [(429, "7"), (429, "3")] == [(response.status_code, response.headers["retry-after"]) for response in answers]
    assert [90055] == answers[0].json()["error_codes"]
    assert "ApplicationThrottled" == answers[1].json()["error"]["code"]
    assert 200 == tenant.refresh(token).status_code


def test_latency_lasts_until_it_is_set_to_zero(tenant: LocalTenant) -> None:
    tenant.control("latency", endpoint="token", milliseconds=300)
    began = time.monotonic()
    tenant.refresh("1.anything")
    assert time.monotonic() - began >= 0.3

    tenant.control("latency", endpoint="token", milliseconds=0)
    assert {} == tenant.http.get(f"{tenant.url}/control").json()["latencyMilliseconds"]


@pytest.mark.parametrize(("endpoint", "statuses"), [("token", [503, 401]), ("graph", [400, 503]), ("all", [503, 503])])
def test_outage_lasts_until_it_is_ended(tenant: LocalTenant, endpoint: str, statuses: list[int]) -> None:
    def look() -> list[int]:
        return [tenant.refresh("1.anything").status_code, tenant.graph("/me", "none").status_code]

    tenant.control("outage", endpoint=endpoint, mode="503")
    assert statuses == look()

    tenant.control("outage", endpoint=endpoint, mode="none")
    assert [400, 401] == look()


def test_outage_of_all_includes_discovery_but_not_control(tenant: LocalTenant) -> None:
    tenant.control("outage", endpoint="all", mode="503")

    assert 503 == tenant.http.get(f"{tenant.authority}/v2.0/.well-known/openid-configuration").status_code
    assert {"all": "503"} == tenant.http.get(f"{tenant.url}/control").json()["outages"]


def test_outage_can_be_a_captive_portal(tenant: LocalTenant) -> None:
    tenant.control("outage", endpoint="token", mode="html")

    response = tenant.refresh("1.anything")

    assert (200, "text/html; charset=utf-8") == (response.status_code, response.headers["content-type"])


def test_outage_can_reset_the_connection(tenant: LocalTenant) -> None:
    tenant.control("outage", endpoint="token", mode="reset")

    with pytest.raises(httpx.TransportError):
        tenant.refresh("1.anything")


def test_outage_can_hang(tenant: LocalTenant) -> None:
    tenant.control("outage", endpoint="graph", mode="hang")

    with pytest.raises(httpx.ReadTimeout):
        tenant.http.get(f"{tenant.url}/v1.0/me", timeout=0.3)


def test_unknown_failure_is_an_error() -> None:
    with pytest.raises(KeyError):
        find_failure("graph", "50173")
