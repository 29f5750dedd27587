"""No spelling of a path reaches another route or another account than the one that it names."""

import json
import re
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.local.environment import Environment
from infra.local.visitor import Visitor
from shared.domain.formats import same_id
from shared.http.bounds import SENT_URL_HEADER
from tests.fuzz.conftest import EXAMPLES
from tests.journey.conftest import bind
from tests.paths import IN_SEGMENTS, OPERATIONS, belongs_to_the_host, is_utf8, named_by, requests
from tests.raw_http import RawAnswer, send

type Records = Callable[[str], list[dict[str, Any]]]

# Answers about mail do not name the account; the audit record does, which the first test looks at.
OF_ACCOUNTS = [
    operation
    for operation in OPERATIONS
    if operation.method == "GET"
    and "{account}" in operation.path
    and "account" in getattr(operation.answer, "__struct_fields__", ())
]


@pytest.fixture(scope="module")
def records(environment: Environment) -> Iterator[Records]:
    """The audit records of one request, by its correlation id."""
    with environment.host.log.open() as log:
        log.seek(0, 2)
        begun = log.tell()

        def of(correlation: str) -> list[dict[str, Any]]:
            log.seek(begun)
            found = map(json.loads, re.findall(r"shared\.audit audit (\{.*\})", log.read()))
            return [record for record in found if record["correlation"] == correlation]

        yield of


def test_request_reaches_the_operation_that_its_path_names(environment: Environment, records: Records) -> None:
    """Nobody's requests are refused by each route, which its audit record names."""

    @settings(max_examples=10 * EXAMPLES)
    @given(requests())
    def reach(request: tuple[str, str]) -> None:
        method, target = request
        correlation = secrets.token_hex(16)
        answer = send(environment.base_url, method, target, X_Correlation_Id=correlation)

        named = named_by(method, target)
        if named.operation is None:
            assert [] == records(correlation)
            hold_unmatched(answer, method, target, named.methods)
        elif named.operation.action is None:
            assert 200 == answer.status
        else:
            (record,) = records(correlation)
            assert named.operation.action == record["action"]
            account = named.parameters.get("account", "")
            assert not is_utf8(account) or account == record.get("account", "")
            assert (answer.status == 401) is bool(named.operation.scopes)

    reach()


def hold_unmatched(answer: RawAnswer, method: str, target: str, methods: set[str]) -> None:
    """404, 405 or the answer to OPTIONS, in the error shape; the host's own 404 is empty."""
    if belongs_to_the_host(target):
        assert (404, b"") == (answer.status, answer.body)
        return
    expected = 404 if not methods else 204 if method == "OPTIONS" else 405
    assert expected == answer.status
    assert (", ".join(sorted({*methods, "OPTIONS"})) if methods else None) == answer.header("Allow")
    if method == "HEAD" or expected == 204:
        assert b"" == answer.body
    else:
        assert {"statusCode", "error", "message", "code"} == answer.json().keys()
        assert expected == answer.json()["statusCode"]


@pytest.fixture
def accounts(api: httpx.Client, visitor: Visitor, person: Callable[..., str]) -> list[str]:
    """The ids of two accounts, one of which begins like the other one."""
    first = bind(api, visitor, person())
    visitor.cookies.clear()
    return [first, bind(api, visitor, person(), account=f"{first}%2Fa")]


def test_answer_is_about_the_account_that_the_path_names(environment: Environment, accounts: list[str]) -> None:
    token = f"Bearer {environment.secrets.admin_token}"
    ids = st.sampled_from([*accounts, accounts[1].replace("%", "%25")])
    parts = st.lists(ids | st.sampled_from([*IN_SEGMENTS, "/", "/../", "..%2F"]), min_size=1, max_size=4).map("".join)

    @settings(max_examples=10 * EXAMPLES)
    @given(requests(ids | parts, OF_ACCOUNTS))
    def read(request: tuple[str, str]) -> None:
        target = request[1]
        answer = send(environment.base_url, "GET", target, Authorization=token)

        assert answer.status < 500
        account = named_by("GET", target).parameters.get("account")
        assert answer.status != 200 or account is None or same_id(answer.json()["account"], account)

    read()


# The path that the host passes on, and the URL as it was sent, which a deployed app gets from the front end.
DECODED = [
    ("/v1/account/{id}/oauth-token", "/v1/account/{id}%2Foauth-token"),
    ("/v1/account/{id}/oauth-token", "/v1/account/{id}%2foauth-token?resource=graph"),
    ("/v1/account/{id}/oauth-token", "/v1/account/{id}%5Coauth-token"),
    ("/v1/account/{id}/oauth-token", "/v1/account/{id}\\oauth-token"),
    ("/v1/account/{id}", "/v1/account/x%2F..%2F{id}"),
    ("/v1/account/{id}", "/v1%2Faccount/{id}"),
    ("/health", "/docs%2f..%2fhealth"),
    ("/accounts/new", "/accounts%2Fnew"),
]


def test_encoded_slash_leads_nowhere_behind_the_front_end(environment: Environment, accounts: list[str]) -> None:
    token = f"Bearer {environment.secrets.admin_token}"
    for decoded, encoded in DECODED:
        target, sent = (text.replace("{id}", accounts[0]) for text in (decoded, encoded))

        answers = [
            send(environment.base_url, method, target, Authorization=token, **{SENT_URL_HEADER: sent})
            for method in ("GET", "PATCH", "HEAD")
        ]

        assert [404, 404, 404] == [answer.status for answer in answers], encoded
        assert "NotFound" == answers[1].json()["code"]


def test_other_paths_may_be_sent_in_any_way(environment: Environment, accounts: list[str]) -> None:
    token = f"Bearer {environment.secrets.admin_token}"
    account = accounts[0]
    for sent in (account, account.upper(), f"{account}?x=%2F%5C\\", f"%61{account[1:]}", f"{account}%252F", ""):
        headers = {SENT_URL_HEADER: f"/v1/account/{sent}"}

        answer = send(environment.base_url, "GET", f"/v1/account/{account}", Authorization=token, **headers)

        assert (200, account) == (answer.status, answer.json().get("account")), sent
