"""Every curl of README and of the pages under docs works as it stands, on a local run whose link was followed."""

from pathlib import Path

import pytest

from infra.local.parts import ROOT
from tests.examples.conftest import LocalRun
from tests.examples.pages import Example, examples, field_names, resembles, text_outside_fences

BREAK_IT = ROOT / "docs/break-it.md"  # which says more: its values are tested too
ALL_PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("infra/**/README.md"))]
PAGES = [page for page in ALL_PAGES if page != BREAK_IT and examples(page)]


@pytest.fixture(scope="module")
def bound_run(local_run: LocalRun) -> LocalRun:
    local_run.sign_in(local_run.link)
    return local_run


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_of_a_page_work(bound_run: LocalRun, page: Path) -> None:
    for example in examples(page):
        try_example(bound_run, example, field_names(example.shown))


def test_most_pages_with_examples_are_found() -> None:
    names = {page.name for page in PAGES}

    assert {"README.md", "api.md", "callers.md", "events.md", "many-mailboxes.md", "oauth-apps.md"} <= names
    assert len([example for page in PAGES for example in examples(page)]) > 10


def test_no_page_has_a_curl_that_is_not_tried() -> None:
    assert [] == [page.name for page in ALL_PAGES if "curl -" in text_outside_fences(page)]


def try_example(run: LocalRun, example: Example, shown: object) -> None:
    """Run the commands, and open the sign-in link that they print."""
    output = run.shell(example.commands)

    assert "" == output.errors, example.where
    assert output.statuses, example.where
    *before, last = output.statuses
    told = (example.where, output)
    assert all(status // 100 == 2 for status, _ in before), told
    assert last[0] == example.status if example.status else last[0] // 100 == 2, told
    assert shown in (None, ...) or resembles(shown, output.documents[-1]), told
    for document in output.documents:
        if "/accounts/new?ticket=" in document.get("url", ""):
            run.sign_in(document["url"])
