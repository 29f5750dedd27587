"""Callers: scopes, bindings and caches."""

import ipaddress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.caller import ApiToken, Binding, Caller, Scope
from shared.domain.errors import Forbidden, InvalidToken
from shared.domain.formats import table_key
from shared.domain.ttl_cache import TTLCache

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
TOKEN = ApiToken("f" * 64, "orders", frozenset({Scope.REGISTER}), NOW, "administrator")


def caller(*scopes: Scope, binding: Binding | None = None) -> Caller:
    return Caller("token:x", "x", frozenset(scopes), binding)


@pytest.mark.parametrize("held", Scope)
def test_a_scope_is_good_for_itself_and_admin_for_all(held: Scope) -> None:
    assert [scope for scope in Scope if held in {scope, Scope.ADMIN}] == [
        scope for scope in Scope if caller(held).has_scope(scope)
    ]


def test_missing_scopes_are_named() -> None:
    with pytest.raises(Forbidden) as refused:
        caller(Scope.REGISTER).require_scope(Scope.ACCOUNTS_READ)

    assert "accounts:read" == refused.value.scope
    assert "accounts:read" in str(refused.value)


@given(account=st.text(), other=st.text())
def test_a_binding_covers_the_ids_with_the_same_table_key(account: str, other: str) -> None:
    assert (table_key(account) == table_key(other)) == Binding.to([account]).covers(other)


@given(prefix=st.text(), account=st.text())
def test_a_prefix_binding_covers_every_id_with_the_prefix(prefix: str, account: str) -> None:
    begins = account.strip().lower().startswith(prefix.strip().lower())

    assert begins == Binding.to(prefixes=[prefix]).covers(account)


def test_an_empty_binding_covers_nothing() -> None:
    assert not caller(binding=Binding()).can_access("")
    with pytest.raises(Forbidden):
        caller(binding=Binding()).require_all_accounts()


@pytest.mark.parametrize(
    ("allowed", "networks", "address"),
    [
        (True, (), None),
        (True, ("203.0.113.0/24",), "203.0.113.255"),
        (True, ("2001:db8::/32", "203.0.113.7/32"), "203.0.113.7"),
        (True, ("203.0.113.7/32", "2001:db8::/32"), "2001:db8::1"),
        (False, ("203.0.113.0/24",), "203.0.114.0"),
        (False, ("203.0.113.0/24",), "2001:db8::1"),
        (False, ("0.0.0.0/0",), "::1"),
        (False, ("0.0.0.0/0", "::/0"), None),
    ],
)
def test_a_token_is_for_its_networks(*, allowed: bool, networks: tuple[str, ...], address: str | None) -> None:
    token = replace(TOKEN, addresses=networks)

    try:
        found = token.caller(NOW, ipaddress.ip_address(address) if address else None)
    except Forbidden:
        assert not allowed
    else:
        assert (allowed, f"token:{TOKEN.id}") == (True, found.id)


def test_a_token_expires_exactly_at_its_expiry() -> None:
    token = replace(TOKEN, expires=NOW)

    assert token.caller(NOW - timedelta(microseconds=1), None)
    with pytest.raises(InvalidToken):
        token.caller(NOW, None)


def test_a_cache_expires_and_is_bounded() -> None:
    memory = TTLCache[str](2)
    until = NOW + timedelta(seconds=30)
    for name in ("a", "b", "a", "c"):
        memory.put(name, name, NOW, until)

    assert [None, "a", "c"] == [memory.get(name, NOW) for name in ("b", "a", "c")]
    assert None is memory.get("a", until)
    assert None is memory.get("a", NOW - timedelta(seconds=1))
    memory.discard("a")
    assert None is memory.get("a", NOW)
