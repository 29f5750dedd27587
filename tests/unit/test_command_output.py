"""Texts of the operators' command: ages, widths, and commands to run next."""

import shlex
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.cli.advice import ANOTHER_PERSON_CODES, SIGN_IN_CODES, command, repair
from shared.cli.output import GAP, age, cut, display_width, fitted_widths, printable
from shared.domain.remedy import Reader, remedies

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("distance", "past", "future"),
    [
        (timedelta(seconds=1), "just now", "in less than a minute"),
        (timedelta(seconds=60), "1 minute ago", "in 1 minute"),
        (timedelta(minutes=59, seconds=59), "60 minutes ago", "in 60 minutes"),
        (timedelta(hours=3, minutes=29), "3 hours ago", "in 3 hours"),
        (timedelta(days=90), "90 days ago", "in 90 days"),
    ],
)
def test_age_is_told_in_its_largest_unit(distance: timedelta, past: str, future: str) -> None:
    assert (past, future) == (age(NOW - distance, NOW), age(NOW + distance, NOW))


@given(st.lists(st.integers(1, 300), min_size=1, max_size=8), st.integers(24, 250))
def test_columns_fit_the_terminal_and_the_first_shrinks_last(widths: list[int], terminal: int) -> None:
    fitted = fitted_widths(widths, terminal)

    assert sum(fitted) + len(GAP) * (len(fitted) - 1) <= max(terminal, 3 * len(widths) - 2)
    assert all(1 <= narrow <= wide for narrow, wide in zip(fitted, widths, strict=True))
    assert fitted[0] == widths[0] or all(narrow <= 8 for narrow in fitted[1:])
    assert widths == fitted_widths(widths, None)


@given(st.text(), st.integers(1, 40))
def test_cut_text_fits_and_begins_as_before(text: str, width: int) -> None:
    shown = cut(printable(text), width)

    assert display_width(shown) <= width
    assert shown == printable(text) or printable(text).startswith(shown.removesuffix("…"))


def test_wide_letters_take_two_columns() -> None:
    assert (4, 3, 2) == (display_width("漢字"), display_width(cut("漢字", 3)), display_width("e\u0301a"))


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1))
def test_shell_reads_a_command_as_it_was_meant(account: str) -> None:
    assert ["mailbind", "show", printable(account)] == shlex.split(command("show", account))


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert "?[31m?red, ?, yes, -, -" == printable(["\x1b[31m\u202ered", "\n", True, None, ""])


def test_each_error_has_a_command_that_repairs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAILBIND_REDIRECT_URL", raising=False)
    assert SIGN_IN_CODES | ANOTHER_PERSON_CODES <= {*remedies(Reader.OPERATOR)}
    reauthorize = "mailbind reauthorize desk --redirect-url URL"

    assert "mailbind reconnect desk" == repair("desk", "no_mailbox_access")
    assert reauthorize == repair("desk", "needs_sign_in")
    assert f"{reauthorize} --allow-principal-change" == repair("desk", "person_gone")
    monkeypatch.setenv("MAILBIND_REDIRECT_URL", "https://myapp.example/done")
    assert "mailbind reauthorize desk" == repair("desk", "needs_sign_in")
