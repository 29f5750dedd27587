"""Rate limits by leaky bucket."""

import ipaddress
from datetime import UTC, datetime, timedelta

import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.limit import LimitKind, Rate
from shared.http.limits import RequestLimits

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
RATES = st.integers(1, 1_000_000)


@given(RATES.filter(lambda rate: rate <= 500))
def test_after_a_pause_a_minutes_requests_pass_at_once(per_minute: int) -> None:
    rate, empty_at, passed = Rate(per_minute), NOON - timedelta(days=1), 0

    while not rate.wait_time(empty_at, NOON):
        empty_at, passed = rate.after_requests(empty_at, 1, NOON), passed + 1

    assert per_minute <= passed <= per_minute + 1


@given(RATES.filter(lambda rate: rate <= 500), st.integers(1, 50))
def test_a_heavy_request_counts_as_several(per_minute: int, drops: int) -> None:
    rate, empty_at, passed = Rate(per_minute), NOON, 0

    while not rate.wait_time(empty_at, NOON, drops):
        empty_at, passed = rate.after_requests(empty_at, drops, NOON), passed + 1

    assert passed == max(per_minute // drops, 1)
    assert not rate.wait_time(empty_at, NOON + rate.wait_time(empty_at, NOON, drops), drops)


@given(RATES, st.timedeltas(timedelta(), timedelta(days=400)))
def test_a_request_passes_after_the_wait(per_minute: int, ahead: timedelta) -> None:
    rate = Rate(per_minute)

    wait = rate.wait_time(NOON + ahead, NOON)

    assert timedelta() <= wait <= rate.interval
    assert not rate.wait_time(NOON + ahead, NOON + wait) or ahead > timedelta(minutes=1)
    full = rate.after_requests(NOON + ahead, 1, NOON)
    assert not rate.wait_time(full, NOON + rate.wait_time(full, NOON))


@given(st.integers(1, 60), st.lists(st.floats(0, 30), max_size=200))
def test_no_more_than_the_rate_and_a_burst_pass(per_minute: int, pauses: list[float]) -> None:
    rate, empty_at, now, passed = Rate(per_minute), NOON, NOON, 0
    for pause in pauses:
        now += timedelta(seconds=pause)
        if not rate.wait_time(empty_at, now):
            empty_at, passed = rate.after_requests(empty_at, 1, now), passed + 1

    assert passed <= per_minute + (now - NOON) / rate.interval + 1


class Counted:
    """The counted requests, by kind and name."""

    def __init__(self) -> None:
        self.whom: list[tuple[LimitKind, str]] = []

    def __call__(self, kind: LimitKind, who: str, _drops: int) -> None:
        self.whom.append((kind, who))


def request(address: str) -> func.HttpRequest:
    headers = {"X-Forwarded-For": address} if address else {}
    return func.HttpRequest(method="GET", url="https://app.example/", headers=headers, body=b"")


@pytest.mark.parametrize(
    ("address", "who"),
    [
        ("203.0.113.7:4711", ["203.0.113.7"]),
        ("[2001:db8:1:2:3:4:5:6]:443", ["2001:db8:1:2::"]),
        ("2001:db8:1:2:ffff::1", ["2001:db8:1:2::"]),
        ("2001:db8:1:3::1", ["2001:db8:1:3::"]),
        ("[::ffff:203.0.113.7]:443", ["203.0.113.7"]),
        ("", []),
        ("nonsense", []),
    ],
)
def test_an_address_counts_as_one_and_a_site_of_ipv6_too(address: str, who: list[str]) -> None:
    counted = Counted()

    RequestLimits(counted, 0).page(request(address))

    assert [(LimitKind.PAGE, name) for name in who] == counted.whom
    for name in who:
        assert ipaddress.ip_address(name)


def test_a_form_counts_for_its_caller_and_for_its_address() -> None:
    counted = Counted()

    RequestLimits(counted, 0).form(request("203.0.113.7"), "flow")

    assert [(LimitKind.FORM_BY_CALLER, "flow"), (LimitKind.FORM_BY_ADDRESS, "203.0.113.7")] == counted.whom
