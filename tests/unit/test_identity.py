"""Equality of ids, by their table key, and of addresses, by a rule of their own; and random tokens."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.caller import Binding
from shared.domain.formats import (
    RANDOM_TOKEN_PATTERN,
    normalize_address,
    normalize_id,
    random_token,
    same_address,
    same_id,
    table_key,
)

# Letters with special case rules: folding, lower-casing, expansion and decomposition differ.
ODD = "ßẞ\u017fsSi\u0130\u0131IK\u212ak\u03a3\u03c3\u03c2éÉe\u0301 \u00a0xX-1"
ids = st.text() | st.text(st.sampled_from(ODD), max_size=6) | st.text("aÄß", min_size=390, max_size=410)


@given(ids, ids)
def test_ids_are_the_same_exactly_when_their_keys_are(one: str, other: str) -> None:
    assert same_id(one, other) is (table_key(one) == table_key(other))


@given(ids)
def test_spellings_of_an_id_share_a_key_and_a_reach(one: str) -> None:
    for other in (f" {one}\t", normalize_id(one), one.lower()):
        assert same_id(one, other)
        assert table_key(one) == table_key(other)
        assert Binding.to([one]).covers(other)


def test_case_folding_does_not_make_ids_equal() -> None:
    assert not same_id("strasse-1", "straẞe-1")
    assert not same_id("\u017fales", "sales")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Support@Contoso.Example", " support@contoso.example "),
        ("info@straße.example", "INFO@xn--strae-oqa.example"),
        ("info@MÜNCHEN.example", "info@xn--mnchen-3ya.example"),
        ("andr\u00e9@contoso.example", "andre\u0301@contoso.example"),
    ],
)
def test_ways_to_write_an_address_are_one(one: str, other: str) -> None:
    assert same_address(one, other)
    assert same_address(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("info@straße.example", "info@strasse.example"),  # two domains, of two registrants
        ("strasse@contoso.example", "straße@contoso.example"),
        ("info@xn--contoso-.example", "info@contoso.example"),  # no A-label: decoding it would say contoso
        ("info@contoso.example", "info@contoso.example.evil.example"),
        ("info@contoso.example", None),
    ],
)
def test_addresses_of_different_mailboxes_are_two(one: str, other: str | None) -> None:
    assert not same_address(one, other)
    assert not same_address(other, one)


@given(st.text(), st.text(st.sampled_from("abß.ü"), max_size=8))
def test_an_address_equals_itself_and_its_normal_form(local: str, domain: str) -> None:
    address = f"{local}@{domain}"
    assert same_address(address, address)


@pytest.mark.parametrize(
    "domain",
    [
        "".join(
            map(chr, range(0x4E00, 0x4E00 + 318))
        ),  # one label with as many different letters as an address can have
        ".".join("".join(map(chr, range(0x4E00 + start, 0x4E00 + start + 62))) for start in range(0, 310, 62)),
        f"xn--{'z9' * 157}",
        ".".join(f"xn--{letter}{'z9' * 29}" for letter in "abcde"),
    ],
)
def test_no_address_takes_long_to_compare(domain: str) -> None:
    plain = f"a@{'.'.join(['abcdefghi'] * 31)}.example"
    assert lines_run(normalize_address, f"a@{domain}") < 300 * lines_run(normalize_address, plain)


def lines_run(call: Callable[[str], object], text: str) -> int:
    """The number of Python lines that a call runs: a measure of time that is the same on every computer."""
    lines = 0

    def count(_frame: object, event: str, _: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        call(text)
    finally:
        sys.settrace(before)
    return lines


@given(st.binary(min_size=32, max_size=32))
def test_random_token_has_its_pattern(random_bytes: bytes) -> None:
    assert RANDOM_TOKEN_PATTERN.fullmatch(random_token(lambda size: random_bytes[:size]))
