"""Numbers in responses and tokens: parsed or refused, without exceptions."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.entra import principal_of
from shared.adapters.token_calls import TokenRefused
from shared.adapters.token_transport import Response, check_tokens, token_error
from shared.domain.clouds import CLOUDS, GLOBAL
from shared.domain.failure import aadsts_numbers, parse_whole_number
from shared.domain.oauth_app import ClientSecret, OAuthApp
from shared.domain.secret import Secret
from shared.ports import SignInInvalid

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
TENANT, PERSON = "7c3f1e52-5d1b-4a57-9a0e-2f6c7f1d9b10", "0f0c1d9e-0000-4000-8000-0000000000c1"
HUGE = "9" * 5000
ODD: list[Any] = ["", "²", "٣", "1e3", "0x1", "-1", "1.5", " 1", HUGE, None, True, -1, 1.5, [], {}, float("nan")]
anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def answer(body: object, status: int = 400, **headers: str) -> Response:
    text = body if isinstance(body, str) else json.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, text, {"content-type": "application/json", **named})


@pytest.mark.parametrize("value", ODD)
def test_an_invalid_whole_number_is_none(value: object) -> None:
    assert None is parse_whole_number(value, 1000)


@pytest.mark.parametrize(("expected", "value"), [(0, 0), (1000, 1000), (7, "7"), (1000, "1000"), (None, 1001)])
def test_a_whole_number_is_read_up_to_its_bound(expected: int | None, value: object) -> None:
    assert expected == parse_whole_number(value, 1000)


def test_endless_digits_are_no_aadsts_number() -> None:
    assert (50076, 7000222) == aadsts_numbers(f"AADSTS50076: x AADSTS{HUGE} AADSTS7000222")
    assert 10 == len(aadsts_numbers("AADSTS1 " * 5000))


@pytest.mark.parametrize(("expected", "value"), [(7, "7"), (86400, HUGE[:15]), (None, HUGE), (None, "²"), (None, "")])
def test_retry_after_is_seconds_up_to_a_day_or_nothing(expected: int | None, value: str) -> None:
    wanted = None if expected is None else timedelta(seconds=expected)

    assert wanted == token_error(answer({}, retry_after=value)).retry_after


@pytest.mark.parametrize("codes", [*ODD, [HUGE], [[]], [None, 50076], [{}], [10**400], {"a": 1}])
def test_odd_error_codes_are_left_out(codes: object) -> None:
    numbers = token_error(answer({"error": "invalid_grant", "error_codes": codes})).aadsts_numbers

    assert set(numbers) <= {50076}


@given(st.dictionaries(st.sampled_from(["error", "error_codes", "claims", "trace_id", "suberror"]), anything))
def test_an_error_answer_is_read_whatever_it_holds(body: dict[str, Any]) -> None:
    read = token_error(answer(body))

    assert all(isinstance(text, str | None) for text in (read.claims, read.trace))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"error_codes": [' + HUGE + "]}", "<html>", "null", "[]", ""])
def test_a_response_without_a_json_object_is_an_outage(text: str) -> None:
    assert 500 == token_error(answer(text)).status


TOKENS = {"access_token": "a", "refresh_token": "r", "expires_in": 3600, "id_token": "e30.e30.x", "scope": "x"}


def test_valid_tokens_are_accepted() -> None:
    check_tokens(answer(TOKENS, 200))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("access_token", None),
        ("refresh_token", 7),
        ("scope", []),
        ("id_token", "no-dot"),
        ("id_token", "a.!!!.c"),
        ("id_token", "e30.W10.x"),
        ("id_token", {}),
        ("error", "invalid_grant"),
    ],
)
def test_an_unusable_token_response_is_refused(name: str, value: object) -> None:
    with pytest.raises(TokenRefused):
        check_tokens(answer({**TOKENS, name: value}, 200))


APP = OAuthApp("app", "App", "client", (ClientSecret(Secret("s")),), TENANT, frozenset({TENANT}), CLOUDS[GLOBAL], ())
CLAIMS = {
    "aud": "client",
    "tid": TENANT,
    "oid": PERSON,
    "iss": f"{CLOUDS[GLOBAL].authority}/{TENANT}/v2.0",
    "exp": NOW.timestamp() + 60,
    "nbf": NOW.timestamp() - 60,
    "preferred_username": "alice@contoso.example",
}


def test_a_valid_id_token_names_the_person() -> None:
    assert "alice@contoso.example" == principal_of(APP, CLAIMS, NOW).sign_in_name


TIMES: list[Any] = ["", "soon", HUGE, "1e400", None, True, [], {}, float("nan"), float("inf"), float("-inf"), 0, -1]


@pytest.mark.parametrize("exp", TIMES)
def test_an_id_token_with_an_invalid_exp_is_refused(exp: object) -> None:
    with pytest.raises(SignInInvalid):
        principal_of(APP, {**CLAIMS, "exp": exp}, NOW)


@pytest.mark.parametrize("nbf", [*TIMES[:11], 10**400, NOW.timestamp() + 3600])
def test_an_id_token_with_an_invalid_nbf_is_refused(nbf: object) -> None:
    with pytest.raises(SignInInvalid):
        principal_of(APP, {**CLAIMS, "nbf": nbf}, NOW)


@given(name=st.sampled_from(sorted(CLAIMS)), value=anything)
def test_an_odd_claim_is_refused_or_ignored(name: str, value: object) -> None:
    try:
        found = principal_of(APP, {**CLAIMS, name: value}, NOW)
    except SignInInvalid:
        return
    assert (TENANT, PERSON) == (found.tenant_id, found.object_id)
