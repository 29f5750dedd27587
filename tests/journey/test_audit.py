"""The audit log has one record for each action or refusal, without secrets."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.visitor import Visitor
from shared.domain.audit import READ_ACTIONS, Action, AuditOutcome
from shared.ports import App
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant, ask, bind, principal_id, status, tick

type NewPerson = Callable[..., str]

PAGE = (Path(__file__).parents[2] / "docs/audit.md").read_text()


@pytest.fixture
def records(environment: Environment) -> Callable[..., list[dict[str, Any]]]:
    """The app's records since the test started, filtered by some fields."""
    begun = len(environment.host.log.read_text())

    def since(**facts: str) -> list[dict[str, Any]]:
        lines = re.findall(r"shared\.audit audit (\{.*\})", environment.host.log.read_text()[begun:])
        return [record for record in map(json.loads, lines) if facts.items() <= record.items()]

    return since


async def test_journey_writes_one_record_for_each_step(
    api: httpx.Client,
    visitor: Visitor,
    person: NewPerson,
    instance: App,
    records: Callable[..., list[dict[str, Any]]],
) -> None:
    asked = ask(api)
    account = asked["account"]
    assert 200 == visitor.follow(asked["url"], person()).status
    token = api.get(f"/v1/account/{account}/oauth-token", headers={"X-Correlation-Id": "orders-flow-17"})
    who = await principal_id(instance, account)
    api.delete(f"/v1/account/{account}")

    seen = [(r["action"], r["outcome"], r["actor"]) for r in records() if account in {r.get("account"), r.get("x")}]
    assert [
        ("registration.start", "done", "administrator"),
        ("link.open", "done", "unknown"),
        ("sign-in.finish", "done", f"person:{who}"),
        ("access-token.hand-out", "done", "administrator"),
        ("account.remove", "done", "administrator"),
    ] == seen
    assert [asked["registration"]] == [r["target"] for r in records(action="sign-in.continue")]
    (handed_out,) = records(action="access-token.hand-out")
    assert ("AAABiCtT7XUAAAAF", "orders-flow-17") == (handed_out["resource"], handed_out["correlation"])
    assert "orders-flow-17" == token.headers["X-Correlation-Id"]


def test_hand_out_record_says_whether_the_token_was_cached(
    api: httpx.Client,
    visitor: Visitor,
    person: NewPerson,
    tenant: Tenant,
    records: Callable[..., list[dict[str, Any]]],
) -> None:
    tenant.do("lifetimes", accessTokenSeconds=60)
    account = bind(api, visitor, person())
    tenant.do("lifetimes", accessTokenSeconds=4500)

    for _ in range(2):
        api.get(f"/v1/account/{account}/oauth-token")

    assert [False, True] == [r["cached"] for r in records(action="access-token.hand-out", account=account)]


def test_refusals_are_audited_with_their_code(
    api: httpx.Client,
    visitor: Visitor,
    person: NewPerson,
    environment: Environment,
    records: Callable[..., list[dict[str, Any]]],
) -> None:
    asked = ask(api)
    visitor.follow(asked["url"], person(access=False))
    httpx.get(f"{environment.base_url}/v1/accounts")
    api.get("/v1/account/nobody-here")
    api.get("/v1/accounts")
    api.post("/v1/authentication/form", json={"account": "wrong"})
    httpx.get(f"{environment.base_url}/accounts/new?ticket=unknown")

    assert [("refused", "no_mailbox_access")] == [
        (r["outcome"], r["code"]) for r in records(action="sign-in.finish", account=asked["account"])
    ]
    assert [("unknown", "Unauthorized")] == [(r["actor"], r["code"]) for r in records(action="accounts.list")]
    assert ["NotFound"] == [r["code"] for r in records(action="account.read", account="nobody-here")]
    assert ["InvalidInput"] == [r["code"] for r in records(action="registration.start", account="wrong")]
    assert ["link_unknown"] == [r["code"] for r in records(action="link.open", outcome="refused")]


def test_a_token_at_a_forbidden_address_is_named_in_the_audit(
    api: httpx.Client, environment: Environment, records: Callable[..., list[dict[str, Any]]]
) -> None:
    wish = {"description": "orders", "scopes": ["accounts:read"], "restrictions": {"addresses": ["203.0.113.7"]}}
    issued = api.post("/v1/token", json=wish).json()
    refused = httpx.get(f"{environment.base_url}/v1/accounts", headers={"Authorization": f"Bearer {issued['token']}"})

    assert 403 == refused.status_code
    assert [(f"token:{issued['id']}", "Forbidden")] == [(r["actor"], r["code"]) for r in records(outcome="refused")]


def test_configuration_changes_are_audited_without_the_token(
    api: httpx.Client, environment: Environment, records: Callable[..., list[dict[str, Any]]]
) -> None:
    issued = api.post("/v1/token", json={"description": "orders", "scopes": ["oauth-token"]}).json()
    refused = httpx.get(f"{environment.base_url}/v1/tokens", headers={"Authorization": f"Bearer {issued['token']}"})
    api.delete(f"/v1/token/{issued['token']}")

    assert 403 == refused.status_code
    assert [issued["id"]] == [r["target"] for r in records(action="api-token.issue")]
    assert [(f"token:{issued['id']}", "Forbidden")] == [(r["actor"], r["code"]) for r in records(outcome="refused")]
    assert [issued["id"]] == [r["target"] for r in records(action="api-token.revoke")]
    assert issued["token"] not in json.dumps(records())


async def test_waiting_sign_in_is_audited_again_when_it_ends(
    api: httpx.Client,
    visitor: Visitor,
    person: NewPerson,
    instance: App,
    clock: MovedClock,
    tenant: Tenant,
    caplog: pytest.LogCaptureFixture,
    records: Callable[..., list[dict[str, Any]]],
) -> None:
    asked, who = ask(api), person()
    tenant.do("outage", endpoint="graph", mode="503")
    visitor.follow(asked["url"], who)
    assert ["graph_unavailable"] == [r["code"] for r in records(outcome="waiting", account=asked["account"])]
    tenant.do("outage", endpoint="graph", mode="none")
    clock.forward(minutes=2)

    with caplog.at_level("INFO", "shared.audit"):
        await tick(instance)

    assert "completed" == status(api, asked)["status"]
    lines = [json.loads(r.getMessage().removeprefix("audit ")) for r in caplog.records if r.name == "shared.audit"]
    (resumed,) = [line for line in lines if line["account"] == asked["account"]]
    (started,) = records(action="registration.start", target=asked["registration"])
    assert ("sign-in.resume", "done", started["correlation"]) == (
        resumed["action"],
        resumed["outcome"],
        resumed["correlation"],
    )


def test_names_of_callers_cannot_break_a_log_line(
    environment: Environment, records: Callable[..., list[dict[str, Any]]]
) -> None:
    for given in ("short", "x" * 65, 'quote"d-and-long', "spaces are not fine"):
        answered = httpx.get(f"{environment.base_url}/v1/accounts", headers={"X-Correlation-Id": given})
        assert re.fullmatch(r"[0-9a-f]{32}", answered.headers["X-Correlation-Id"])
    identity = "9a1d7c2e-0b64-4f4e-9d52-6a0c4f1e8b77"
    azures = httpx.get(f"{environment.base_url}/v1/accounts", headers={"x-ms-client-request-id": identity})
    assert identity == azures.headers["X-Correlation-Id"]
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    httpx.get(f"{environment.base_url}/v1/account/%22%0a%7b%7d", headers={"traceparent": trace})

    assert ['"\n{}'] == [r["account"] for r in records(correlation="0af7651916cd43dd8448eb211c80319c")]


def test_documentation_lists_every_action_and_outcome(
    api: httpx.Client, visitor: Visitor, person: NewPerson, records: Callable[..., list[dict[str, Any]]]
) -> None:
    bind(api, visitor, person())

    fields = set(re.findall(r"(?m)^\| `(\w+)` \|", PAGE))
    assert {name for record in records() for name in record} <= fields
    assert [] == [name for name in [*Action, *AuditOutcome] if f"`{name}`" not in PAGE]
    assert READ_ACTIONS < set(Action)


def test_bulk_operation_records_how_many_it_changed(
    api: httpx.Client,
    visitor: Visitor,
    person: NewPerson,
    tenant: Tenant,
    records: Callable[..., list[dict[str, Any]]],
) -> None:
    account = bind(api, visitor, person())
    ids = tenant.do("deliver", mailbox="support@contoso.example", message={"subject": "a"}, count=3)["immutableIds"]
    search = {"emailIds": [*ids, "AAAA"]}
    assert (
        200 == api.put(f"/v1/account/{account}/messages/move", json={"search": search, "path": "Archive"}).status_code
    )

    (record,) = records(action="mailbox.use", account=account)
    assert ("move_messages", 3, 200) == (record["operation"], record["messages"], record["status"])
