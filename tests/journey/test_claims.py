"""Claims that callers pass on, and refreshes on demand."""

import base64
from collections.abc import Callable

import httpx

from infra.local.environment import APP_ID
from infra.local.visitor import Visitor
from tests.journey.conftest import Tenant, ask, bind
from tests.usecases.grants import CLAIMS, padded, refreshes

type NewPerson = Callable[..., str]


# Each with the field that the refusal names.
NO_CHALLENGES = [
    *((padded(length), "claims.access_token.x") for length in (2000, 4000, 8000)),
    ('{"access_token":{"xms_cc":{"values":["cp1"]}}}', "claims.access_token.xms_cc"),
    ('{"access_token":{"acrs":{"value":"c1"},"xms_cc":{"values":["cp1"]}}}', "claims.access_token.xms_cc"),
    ('{"id_token":{"amr":{"values":["mfa"]}}}', "claims.id_token"),
    ('{"access_token":{"nbf":{"essential":true,"value":"' + "9" * 5000 + '"}}}', "claims.access_token.nbf.value"),
    ('{"access_token":{"acrs":{"values":[' + '"c1",' * 1500 + '"c1"]}}}', "claims.access_token.acrs.values"),
    ('{"access_token":' + '{"acrs":' * 400 + "1" + "}" * 401, "claims.access_token.acrs.acrs"),
    ('{"access_token":{"__proto__":{"value":"c1"}}}', "claims.access_token.__proto__"),
    ('{"access_token":{"acrs":{"value":"\\ud83d\\ude00"}}}', "claims.access_token.acrs.value"),
]


def fields_of(answer: httpx.Response) -> set[str]:
    return {field["key"] for field in answer.json()["fields"]}


def probes(tenant: Tenant, person: str) -> int:
    return sum(each["person"] == person for each in tenant.events("graph called"))


def test_claims_that_are_no_challenge_are_refused(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    account = bind(api, visitor, who)
    tenant.do("fail", endpoint="token", failure="16000", times=1, person=who, grant="refresh_token")

    for claims, field in NO_CHALLENGES:
        in_base64 = base64.b64encode(claims.encode()).decode()[:8192]
        answers = [
            api.post(f"/v1/account/{account}/oauth-token", json={"claims": text}) for text in (claims, in_base64)
        ]

        assert [400, 400] == [answer.status_code for answer in answers], field
        assert field in fields_of(answers[0])

    assert 0 == refreshes(tenant, who)
    assert 200 == visitor.follow(ask(api, account=account)["url"], who).status


def test_refreshes_on_demand_are_limited_to_two_a_minute(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    account = bind(api, visitor, who)
    before, probed = refreshes(tenant, who), probes(tenant, who)

    answers = [api.put(f"/v1/account/{account}/reconnect") for _ in range(20)]
    challenged = api.post(f"/v1/account/{account}/oauth-token", json={"claims": CLAIMS})
    verified = api.post(f"/v1/oauth2/{APP_ID}/verify", json={"account": account})

    assert [200, 200, *[429] * 18] == [answer.status_code for answer in answers]
    assert (429, 429) == (challenged.status_code, verified.status_code)
    for held in (*answers[2:], challenged, verified):
        assert "TooManyRequests" == held.json()["code"]
        assert 0 < int(held.headers["retry-after"]) <= 30
    assert 2 == refreshes(tenant, who) - before
    assert 2 == probes(tenant, who) - probed
