"""The query of account listings."""

import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.usecases.accounts.read import AccountQuery
from tests.contract.records import account, principal

ONE = replace(account(principal(), datetime(2026, 1, 1, tzinfo=UTC)), email="info@xn--mnchen-3ya.example")
HARD = f"a{'\u0301\u0316' * 150}@x.example"  # as many combining marks as an address may have


@pytest.mark.parametrize("query", [AccountQuery(email=HARD), AccountQuery(authorized_by=HARD)])
def test_a_query_is_normalized_once(query: AccountQuery) -> None:
    seen: list[str] = []

    def note(_frame: object, event: str, called: object) -> None:
        if event == "c_call":
            seen.append(getattr(called, "__name__", ""))

    wanted, before = query.normalized(), sys.getprofile()
    sys.setprofile(note)
    try:
        fits = [wanted.fits(ONE) for _ in range(10)]
    finally:
        sys.setprofile(before)

    assert [False] * 10 == fits
    assert 10 == seen.count("normalize")


@pytest.mark.parametrize("email", [" INFO@M\u00dcNCHEN.example", "info@XN--mnchen-3ya.example"])
def test_an_account_is_found_by_any_spelling_of_its_address(email: str) -> None:
    assert AccountQuery(email=email).normalized().fits(ONE)


def test_a_person_is_found_by_sign_in_name_and_ids_in_any_case() -> None:
    names: list[str] = [ONE.sign_in_name, ONE.principal_id, ONE.principal_id.partition(".")[2]]

    assert all(AccountQuery(authorized_by=f" {name.upper()} ").normalized().fits(ONE) for name in names)
