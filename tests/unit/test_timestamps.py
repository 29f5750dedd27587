"""The range of dates that are accepted from outside."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.formats import EARLIEST_TIMESTAMP, LATEST_TIMESTAMP, clamp_timestamp, parse_timestamp
from shared.domain.tokens import DEFAULT_TOKEN_LIFETIME, MAX_TOKEN_LIFETIME, parse_token_lifetime
from shared.settings.reader import Reader

CENTURY = timedelta(days=36_500)
MOMENTS = st.datetimes(timezones=st.timezones()) | st.datetimes()
IN_RANGE = st.datetimes(
    datetime(2000, 1, 2),  # noqa: DTZ001 - hypothesis adds the zone
    datetime(2099, 12, 30),  # noqa: DTZ001 - as above
    timezones=st.timezones(),
    allow_imaginary=False,
)
REFUSED = ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1999-12-31T23:59:59Z", "2100-01-01T00:00:00.1Z", "now", "0"]


@pytest.mark.parametrize("text", REFUSED)
def test_a_date_out_of_range_is_refused_in_settings(text: str) -> None:
    settings = Reader({"ENDS": text})

    assert (None, 1) == (settings.timestamp("ENDS"), len(settings.faults))


@given(MOMENTS, st.timedeltas(-CENTURY, CENTURY))
def test_clamped_timestamps_can_be_added_to(when: datetime, by: timedelta) -> None:
    near = clamp_timestamp(when)

    assert EARLIEST_TIMESTAMP <= near <= LATEST_TIMESTAMP
    assert (near + by) - by == near


@given(IN_RANGE)
def test_a_date_in_range_is_taken_as_it_is(when: datetime) -> None:
    assert when.astimezone(UTC) == parse_timestamp(when.isoformat())


@given(st.text() | st.integers() | st.floats() | st.none())
def test_a_token_lifetime_is_always_within_the_supported_range(said: object) -> None:
    assert timedelta() <= parse_token_lifetime(said) <= MAX_TOKEN_LIFETIME


@pytest.mark.parametrize(
    ("life", "said"),
    [
        (timedelta(seconds=3599), 3599),
        (timedelta(seconds=3599), "3599"),
        (MAX_TOKEN_LIFETIME, 10**12),
        (MAX_TOKEN_LIFETIME, "9" * 5000),
        (DEFAULT_TOKEN_LIFETIME, "soon"),
        (DEFAULT_TOKEN_LIFETIME, -1),
        (DEFAULT_TOKEN_LIFETIME, None),
    ],
)
def test_a_tokens_life_is_what_entra_says(life: timedelta, said: object) -> None:
    assert life == parse_token_lifetime(said)
