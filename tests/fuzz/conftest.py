"""The running system for the fuzzing, and how much of it there is: MAILBIND_FUZZ raises the examples of each test."""

import os
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from infra.local.environment import Environment
from tests.environments import StartApp
from tests.journey.conftest import (  # noqa: F401 - fixtures
    api,
    other_visitor,
    person,
    tenant,
    visitor,
)

EXAMPLES = int(os.environ.get("MAILBIND_FUZZ", "10"))
FUZZED = settings(max_examples=EXAMPLES, suppress_health_check=[*HealthCheck])
REQUESTS = Counter[str]()  # how many were sent, by what sent them


@pytest.fixture(scope="session")
def environment(start_app: StartApp) -> Iterator[Environment]:
    """An app of its own, because fuzzing leaves OAuth apps, webhooks and tokens that other tests do not expect."""
    with start_app() as running:
        yield running


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if REQUESTS:
        terminalreporter.write_line(f"fuzzing sent {REQUESTS.total()} requests: {dict(REQUESTS)}")
