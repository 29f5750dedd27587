"""The control endpoint, and the process around the tenant."""

import signal
from pathlib import Path

import httpx
import pytest

from infra.local.parts import Part, python_part, running, start
from tests.local.tenant_visitor import ALICE, ANOTHER_APP, BOB, MALLORY, Browser, LocalTenant, trust_context

SUPPORT = "support@contoso.example"


def test_control_shows_the_tenant(tenant: LocalTenant) -> None:
    state = tenant.http.get(f"{tenant.url}/control").json()

    people = {person["upn"]: bool(person["consented"]) for person in state["people"]}
    access = {mailbox["address"].partition("@")[0]: mailbox["fullAccess"] for mailbox in state["mailboxes"]}
    assert {ALICE: True, "bob@contoso.example": True, MALLORY: False} == people
    assert {"support": [ALICE, "bob@contoso.example"], "sales": [ALICE], "billing": [ALICE], "board": []} == access


def test_control_shows_conditions_until_reset(tenant: LocalTenant) -> None:
    tenant.control("fail", endpoint="token", failure="50173", times=3, person=ALICE)
    tenant.control("latency", endpoint="graph", milliseconds=5)
    tenant.control("lifetimes", accessTokenSeconds=60)
    tenant.control("id-token", claims={"tid": "x"})
    state = tenant.http.get(f"{tenant.url}/control").json()
    assert [("token", "50173", 3)] == [(f["endpoint"], f["failure"], f["times"]) for f in state["faults"]]
    assert ({"graph": 5}, 60) == (state["latencyMilliseconds"], state["accessTokenSeconds"])

    tenant.control("reset")

    state = tenant.http.get(f"{tenant.url}/control").json()
    assert ([], [], {}, 4500) == (
        state["faults"],
        state["idTokenClaims"],
        state["latencyMilliseconds"],
        state["accessTokenSeconds"],
    )


def test_control_shows_no_secrets(tenant: LocalTenant, browser: Browser) -> None:
    body = tenant.redeem(browser.code_of(ALICE)).json()
    tenant.graph("/me", body["access_token"])

    told = tenant.http.get(f"{tenant.url}/control").text + tenant.http.get(f"{tenant.url}/control/events").text

    for secret in (body["access_token"], body["refresh_token"], body["id_token"], tenant.ready["clientSecret"]):
        assert secret not in told


def test_events_of_a_sign_in_are_in_order(tenant: LocalTenant, browser: Browser) -> None:
    page = browser.press(browser.authorize(), "login", MALLORY)
    code = browser.press(page, "consent", "accept").headers["location"]
    assert "code=" in code
    tenant.refresh("1.anything")

    events = tenant.http.get(f"{tenant.url}/control/events").json()["events"]

    told = ["authorize shown", "signed in", "consent shown", "consented", "code issued", "failed"]
    assert told == [event["what"] for event in events]
    assert "70000" == events[-1]["failure"]
    assert all({"n", "at"} <= set(event) for event in events)


def test_events_can_be_paged_and_cleared(tenant: LocalTenant) -> None:
    address = f"{tenant.url}/control/events"
    for _ in range(3):
        tenant.refresh("1.anything")
    first, *rest = tenant.http.get(address).json()["events"]

    assert rest == tenant.http.get(address, params={"after": first["n"]}).json()["events"]

    tenant.http.delete(address)
    assert [] == tenant.http.get(address).json()["events"]
    tenant.refresh("1.anything")
    assert rest[-1]["n"] + 1 == tenant.http.get(address).json()["events"][0]["n"]


@pytest.mark.parametrize(
    ("action", "body", "named"),
    [
        ("revoke", {}, "person"),
        ("revoke", {"person": "nobody@contoso.example"}, "person"),
        ("revoke", {"person": 7}, "person"),
        ("revoke", {"person": ALICE, "why": "x"}, "why"),
        ("access", {"person": ALICE, "mailbox": "nowhere@contoso.example", "fullAccess": True}, "mailbox"),
        ("access", {"person": ALICE, "mailbox": SUPPORT, "fullAccess": "yes"}, "fullAccess"),
        ("access", {"person": ALICE, "mailbox": SUPPORT}, "sendOnBehalf"),
        ("fail", {"endpoint": "moon", "failure": "50173"}, "endpoint"),
        ("fail", {"endpoint": "token", "failure": "ErrorAccessDenied"}, "failure"),
        ("fail", {"endpoint": "graph", "failure": "http-200"}, "failure"),
        ("fail", {"endpoint": "authorize", "failure": "http-503"}, "failure"),
        ("fail", {"endpoint": "token", "failure": "50173", "times": 0}, "times"),
        ("throttle", {"endpoint": "token", "retryAfter": -1}, "retryAfter"),
        ("latency", {"endpoint": "token", "milliseconds": -1}, "milliseconds"),
        ("outage", {"endpoint": "token", "mode": "flood"}, "mode"),
        ("lifetimes", {"accessTokenSeconds": "long"}, "accessTokenSeconds"),
        ("id-token", {"claims": []}, "claims"),
        ("person", {}, "upn"),
        ("person", {"upn": "nobody@contoso.example"}, "upn"),
        ("person", {"upn": ALICE, "refusal": "ErrorAccessDenied"}, "refusal"),
        ("app", {"clientId": "x", "secret": "y"}, "clientId"),
        ("mailbox", {"create": 1, "person": "nobody@contoso.example"}, "person"),
        ("mailbox", {"create": 0, "person": ALICE}, "create"),
        ("sign-in", {"person": ALICE, "clientId": "x"}, "clientId"),
        ("clock", {"advanceSeconds": 0}, "advanceSeconds"),
    ],
)
def test_invalid_body_is_rejected_by_field(
    tenant: LocalTenant, action: str, body: dict[str, object], named: str
) -> None:
    response = tenant.http.post(f"{tenant.url}/control/{action}", json=body)

    assert 400 == response.status_code
    assert named in response.json()["error"]


def test_body_that_is_not_json_is_rejected(tenant: LocalTenant) -> None:
    assert 400 == tenant.http.post(f"{tenant.url}/control/revoke", content=b"{").status_code
    assert 400 == tenant.http.get(f"{tenant.url}/control/events", params={"after": "x"}).status_code


def test_created_people_can_sign_in(tenant: LocalTenant) -> None:
    people = tenant.control("person", create=12, mailbox=SUPPORT)["people"]

    assert (12, "person0012@contoso.example") == (len(people), people[-1])
    token = tenant.access_token_of(people[-1])
    assert 200 == tenant.graph(f"/users/{SUPPORT}/mailFolders/inbox", token).status_code


def test_people_can_be_numbered_from_any_number(tenant: LocalTenant) -> None:
    people = tenant.control("person", create=2, first=5001)["people"]

    assert ["person5001@contoso.example", "person5002@contoso.example"] == people


def test_permissions_to_send_are_granted_and_removed_alone(tenant: LocalTenant) -> None:
    def permissions() -> tuple[list[str], ...]:
        state = tenant.http.get(f"{tenant.url}/control").json()["mailboxes"]
        support = next(mailbox for mailbox in state if SUPPORT == mailbox["address"])
        return support["fullAccess"], support["sendAs"], support["sendOnBehalf"]

    assert ([ALICE, BOB], [ALICE], [BOB]) == permissions()
    tenant.control("access", person=BOB, mailbox=SUPPORT, sendAs=True, sendOnBehalf=False)
    assert ([ALICE, BOB], [ALICE, BOB], []) == permissions()
    tenant.control("access", person=ALICE, mailbox=SUPPORT, sendAs=False)
    assert ([ALICE, BOB], [BOB], []) == permissions()


def test_created_shared_mailboxes_open_for_their_person(tenant: LocalTenant) -> None:
    tenant.control("mailbox", create=2, person=ALICE)
    mailboxes = tenant.control("mailbox", create=12, person=MALLORY)["mailboxes"]

    assert (12, "shared0012@contoso.example") == (len(mailboxes), mailboxes[-1])
    state = tenant.http.get(f"{tenant.url}/control").json()["mailboxes"]
    for permission in ("fullAccess", "sendAs"):
        people = {mailbox["address"]: mailbox[permission] for mailbox in state}
        assert [[ALICE, MALLORY], [MALLORY]] == [people[mailboxes[number]] for number in (1, 11)]
    token = tenant.access_token_of(MALLORY)
    assert 200 == tenant.graph(f"/users/{mailboxes[-1]}/mailFolders/inbox", token).status_code


def test_sign_in_can_be_for_another_app(tenant: LocalTenant) -> None:
    token = tenant.control("sign-in", person=ALICE, clientId=ANOTHER_APP)["refreshToken"]

    assert [70000] == tenant.refresh(token).json()["error_codes"]


def run(folder: Path, keys: Path) -> Part:
    return start("tenant", python_part("infra.local.tenant", "--folder", str(keys)), folder=folder)


def test_keys_tokens_and_authority_survive_a_restart(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    with running(run(tmp_path / "first", keys)) as part, httpx.Client(verify=trust_context(part.ready)) as client:
        token = LocalTenant(part.ready, client).refresh_token_of(ALICE)
        authority = (keys / "ca.pem").read_bytes()

    with running(run(tmp_path / "second", keys)) as part, httpx.Client(verify=trust_context(part.ready)) as client:
        assert 200 == LocalTenant(part.ready, client).refresh(token).status_code
        assert authority == (keys / "ca.pem").read_bytes()


def test_private_keys_are_readable_by_their_owner_only(tenant_part: Part) -> None:
    folder = Path(tenant_part.ready["caFile"]).parent

    assert {0o600} == {path.stat().st_mode & 0o777 for path in folder.glob("*.key")}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_removes_the_temporary_folder(tmp_path: Path, number: signal.Signals) -> None:
    part = start("tenant", python_part("infra.local.tenant"), folder=tmp_path, stop_signal=number)
    assert Path(part.ready["caFile"]).is_file()

    part.stop()

    assert 0 == part.process.returncode
    assert not Path(part.ready["caFile"]).parent.exists()
