"""No Authorization header causes a 5xx, and only our tokens are accepted."""

import base64
import json
import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.local.environment import Environment
from tests.local.calling_app import token_by_msal

LETTERS = st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f")
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
NESTED = b"[" * 5000


@pytest.fixture(scope="module")
def client(environment: Environment) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=environment.base_url, timeout=30) as opened:
        yield opened


@pytest.fixture(scope="module")
def good(environment: Environment) -> list[str]:
    """One valid token of each kind."""
    admin = environment.secrets.admin_token
    with httpx.Client(base_url=environment.base_url, headers={"Authorization": f"Bearer {admin}"}) as api:
        wish = {"description": "to be bent", "scopes": ["admin"]}
        return [admin, api.post("/v1/token", json=wish).json()["token"], token_by_msal(environment.tenant.ready)]


def part(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


@st.composite
def made_up(draw: st.DrawFn) -> str:
    """Text; hexadecimal of about the right length; and JSON Web Tokens of any content."""
    header = {"alg": draw(st.sampled_from(["RS256", "none", "HS256", ""]) | JSON), "kid": draw(JSON)}
    claims = draw(st.dictionaries(st.sampled_from(["iss", "aud", "tid", "exp", "nbf", "roles", "sub"]), JSON) | JSON)
    token = draw(
        st.sampled_from(
            [
                draw(st.text(LETTERS, max_size=80)),
                draw(st.text("0123456789abcdefABCDEF", min_size=60, max_size=68)),
                f"{part(header)}.{part(claims)}.{draw(st.text('AQgw-_=', max_size=20))}",
                f"{part(header)}.{base64.urlsafe_b64encode(NESTED).decode()}.AA",
                f"{draw(st.text(LETTERS, max_size=20))}.{part(claims)}.",
            ]
        )
    )
    return draw(st.sampled_from(["Bearer ", "bearer  ", "BEARER ", "Bearer", "", "Basic ", "Bearer Bearer "])) + token


@st.composite
def bent(draw: st.DrawFn) -> tuple[int, int, str]:
    """Which valid token to change, where, and into what."""
    return draw(st.tuples(st.integers(0, 2), st.integers(0, 5000), st.text(LETTERS, min_size=0, max_size=2)))


def ask(client: httpx.Client, header: str) -> httpx.Response:
    return client.get("/v1/tokens", headers=[(b"authorization", header.strip().encode())])


@settings(max_examples=400)
@given(header=made_up())
def test_no_made_up_header_gets_in(client: httpx.Client, header: str) -> None:
    answer = ask(client, header)

    assert (401, "Unauthorized") == (answer.status_code, answer.json()["code"])


@settings(max_examples=400)
@given(change=bent())
def test_no_good_token_gets_in_when_it_was_changed(
    client: httpx.Client, good: list[str], change: tuple[int, int, str]
) -> None:
    token = good[change[0]]
    at = change[1] % len(token)
    other = token[:at] + change[2] + token[at + 1 :]
    answer = ask(client, f"Bearer {other}")

    if same(token, other):
        assert answer.status_code in {200, 403}
    else:
        assert 401 == answer.status_code


def same(token: str, other: str) -> bool:
    """Whether the token is unchanged: spaces around a token do not count, nor the spare bits at the end of base64."""
    if other.strip() == token:
        return True
    heads, signatures = zip(*(one.strip().rpartition(".")[::2] for one in (token, other)), strict=True)
    return bool(heads[0]) and heads[0] == heads[1] and decoded(signatures[0]) == decoded(signatures[1])


def decoded(text: str) -> bytes | None:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None


def test_random_token_is_no_token(client: httpx.Client) -> None:
    assert 401 == ask(client, f"Bearer {secrets.token_hex(32)}").status_code
