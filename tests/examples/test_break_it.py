"""docs/break-it.md: after each of its commands one sees what it says, values and all."""

import re

import pytest

from tests.examples.conftest import LocalRun
from tests.examples.pages import examples
from tests.examples.test_pages import BREAK_IT, try_example

TEXT = BREAK_IT.read_text()
SECTIONS = dict(re.findall(r"(?ms)^## (.*?)\n(.*?)(?=^## |\Z)", TEXT))


@pytest.mark.parametrize("section", SECTIONS)
def test_one_sees_what_the_page_says(local_run: LocalRun, section: str) -> None:
    local_run.bind()

    for example in examples(BREAK_IT, SECTIONS[section]):
        try_example(local_run, example, example.shown)


def test_page_has_five_ways_to_break_it() -> None:
    assert 5 == len([section for section in SECTIONS if section != "More"])
    assert all(examples(BREAK_IT, text) for text in SECTIONS.values())
    assert [] == [word for word in ("revoke", "access", "app", "outage", "throttle") if f"$CONTROL/{word}" not in TEXT]
