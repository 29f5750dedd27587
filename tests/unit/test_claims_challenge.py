"""The parts of a claims challenge that are sent to Entra, and those that are stored."""

import json
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.claims_challenge import KNOWN_MEMBERS, MAX_CLAIMS_BYTES, parse_challenge, sanitized_claims

GUID = "c5c0e6f4-6d6b-4f0f-9d1e-0b7f6a5c4d3e"
# As Microsoft's services send them (entra/identity-platform: claims-challenge, app-resilience-continuous-access-
# evaluation, v2-conditional-access-dev-guide).
REAL = [
    '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}',
    '{"access_token":{"acrs":{"essential":true,"value":"c99"}}}',
    '{"access_token":{"acrs":{"essential":true,"values":["p1"]}}}',
    '{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}',
    '{"access_token":{"nbf":{"essential":true,"value":"1610563006"},"xms_rp_ipaddr":{"value":"1.2.3.4"}}}',
    '{"access_token":{"xms_rp_ipaddr":{"value":"2001:db8::1"}}}',
    '{"access_token":{"capolids":{"essential":true,"values":["c5c0e6f4-6d6b-4f0f-9d1e-0b7f6a5c4d3e"]}}}',
    '{"access_token":{"polids":{"essential":true}}}',
]
NAMES = st.sampled_from(
    ["access_token", "id_token", *KNOWN_MEMBERS, "xms_cc", "essential", "value", "values"]
) | st.text(max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


def asking(**members: Any) -> dict[str, Any]:
    return {"access_token": members}


@pytest.mark.parametrize("challenge", REAL)
def test_real_challenges_pass_as_they_are(challenge: str) -> None:
    assert (challenge, {}) == parse_challenge(json.loads(challenge))


@pytest.mark.parametrize(
    ("claims", "path"),
    [
        (asking(xms_cc={"values": ["cp1"]}), "access_token.xms_cc"),
        (asking(acrs={"value": "c1"}, xms_cc={"values": ["cp1"]}), "access_token.xms_cc"),
        (asking(XMS_CC={"values": ["cp1"]}), "access_token.XMS_CC"),
        (asking(__proto__={"value": "c1"}), "access_token.__proto__"),
        (asking(acrs={"value": "c1", "__class__": {}}), "access_token.acrs.__class__"),
        (asking(acrs={"value": "c1", "Values": ["c1"]}), "access_token.acrs.Values"),
        ({**asking(acrs={"value": "c1"}), "id_token": {"amr": {"essential": True}}}, "id_token"),
        ({**asking(acrs={"value": "c1"}), "userinfo": {}}, "userinfo"),
        ({"id_token": {"acrs": {"value": "c1"}}}, "access_token"),
        (asking(), "access_token"),
        ({"access_token": [{"acrs": {"value": "c1"}}]}, "access_token"),
        ([asking(acrs={"value": "c1"})], ""),
        ("c1", ""),
        (None, ""),
        (asking(acrs=None), "access_token.acrs"),
        (asking(acrs="c1"), "access_token.acrs"),
        (asking(acrs={}), "access_token.acrs"),
        (asking(acrs={"value": "cp1"}), "access_token.acrs.value"),
        (asking(acrs={"value": "c100"}), "access_token.acrs.value"),
        (asking(acrs={"value": "c1\n"}), "access_token.acrs.value"),
        (asking(acrs={"value": "c１"}), "access_token.acrs.value"),  # noqa: RUF001 - a digit, and not in ASCII
        (asking(acrs={"value": {"acrs": {"acrs": "c1"}}}), "access_token.acrs.value"),
        (asking(acrs={"essential": "true"}), "access_token.acrs.essential"),
        (asking(acrs={"essential": 1}), "access_token.acrs.essential"),
        (asking(acrs={"values": []}), "access_token.acrs.values"),
        (asking(acrs={"values": ["c1", "x"]}), "access_token.acrs.values"),
        (asking(acrs={"values": ["c1"] * 1000}), "access_token.acrs.values"),
        (asking(nbf={"value": "9" * 5000}), "access_token.nbf.value"),
        (asking(nbf={"value": 1604106651}), "access_token.nbf.value"),
        (asking(nbf={"value": "-1"}), "access_token.nbf.value"),
        (asking(xms_rp_ipaddr={"value": "fe80::1%somebody's text"}), "access_token.xms_rp_ipaddr.value"),
        (asking(xms_rp_ipaddr={"value": "localhost"}), "access_token.xms_rp_ipaddr.value"),
        (asking(capolids={"values": ["{" + GUID + "}"]}), "access_token.capolids.values"),
    ],
)
def test_an_unknown_part_of_a_challenge_is_refused_by_path(claims: object, path: str) -> None:
    assert path in parse_challenge(claims)[1]


def test_every_fault_is_named_at_once() -> None:
    claims = {"id_token": {}, "access_token": {"xms_cc": {}, "nbf": {"value": "x", "values": "y"}}}

    assert {
        "id_token",
        "access_token.xms_cc",
        "access_token.nbf.value",
        "access_token.nbf.values",
    } == set(parse_challenge(claims)[1])


def test_at_most_ten_unknown_members_are_reported() -> None:
    claims = {**asking(acrs={"value": "c1"}), **{f"{number:04}{'x' * 100}": 1 for number in range(1000)}}

    assert all(len(name) < 100 for name in parse_challenge(claims)[1])
    assert 10 == len(parse_challenge(claims)[1])


VALUES = st.sampled_from(["c1", "1604106651", "1.2.3.4", GUID, True, ["c1", "p1"], [GUID]])
LIKELY = st.dictionaries(st.sampled_from(["essential", "value", "values"]), VALUES)


@given(JSON | st.dictionaries(st.sampled_from(list(KNOWN_MEMBERS)), LIKELY).map(lambda members: asking(**members)))
def test_parsed_challenges_have_known_members_only(claims: object) -> None:
    built, faults = parse_challenge(claims)
    if faults:
        return

    assert built == parse_challenge(json.loads(built))[0]
    assert set(json.loads(built)["access_token"]) <= set(KNOWN_MEMBERS)
    assert "xms_cc" not in built


def test_the_longest_challenge_that_passes_fits_into_a_url() -> None:
    kinds = {"acrs": "c99", "nbf": "9" * 10, "xms_rp_ipaddr": "2001:db8:" + "ffff:" * 5 + "ffff", "capolids": GUID}
    values = {name: {"essential": True, "values": [value] * 10} for name, value in kinds.items()}

    assert len(parse_challenge({"access_token": values})[0]) <= MAX_CLAIMS_BYTES


@pytest.mark.parametrize(
    ("returned", "kept"),
    [
        *((text, text) for text in REAL),
        ('{"access_token": {"tomorrow": {"essential": true}}}', '{"access_token":{"tomorrow":{"essential":true}}}'),
        (
            '{"access_token":{"xms_cc":{"values":["cp1"]},"nbf":{"value":"1"}}}',
            '{"access_token":{"nbf":{"value":"1"}}}',
        ),
        ('{"id_token":{"amr":null},"access_token":{"nbf":null}}', '{"access_token":{"nbf":null}}'),
        ('{"access_token":{"xms_cc":{"values":["cp1"]}}}', None),
        ('{"access_token":{"x":"' + "x" * 8000 + '"}}', None),
        ('{"access_token":{"x":"' + '"' * 1500 + '"}}', None),
        ('{"access_token":{"x":' + '"' + "\\u00e9" * 600 + '"}}', None),
        ('{"access_token":' + '{"x":' * 300 + "1" + "}" * 301, None),
        ('{"access_token":{"x":NaN}}', None),
        ('{"access_token":[]}', None),
        ('{"access_token":7}', None),
        ('"access_token"', None),
        ("", None),
        ("{", None),
        (None, None),
        ({"access_token": {"nbf": {"value": "1"}}}, None),
    ],
)
def test_microsofts_claims_are_kept_if_they_fit_into_a_url(returned: object, kept: str | None) -> None:
    assert kept == sanitized_claims(returned)


@given(JSON)
def test_kept_claims_are_short(claims: object) -> None:
    kept = sanitized_claims(json.dumps({"access_token": claims}, ensure_ascii=False)) or ""

    assert len(quote_plus(kept)) <= MAX_CLAIMS_BYTES
    assert kept.isascii()
