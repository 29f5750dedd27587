"""docs/entra-errors.md says what the rules do."""

from pathlib import Path

from shared.domain.entra_errors import FAILURE_RULES
from tests.repo.entra_errors import WHO_ACTS, tables

PAGE = Path(__file__).parents[2] / "docs/entra-errors.md"


def test_the_page_has_the_tables_of_the_rules() -> None:
    """`python -m tests.repo.entra_errors` prints them."""
    printed = [line for line in tables() if line]
    listed = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]

    assert printed == listed
    assert {rule.code for rule in FAILURE_RULES} <= set(WHO_ACTS)
