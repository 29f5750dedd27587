"""The running system for the fuzzing, and how much of it there is: MAILBIND_FUZZ raises the examples of each test."""

import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

from tests.environments import leaves_no_oauth_apps  # noqa: F401 - a fixture
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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if REQUESTS:
        terminalreporter.write_line(f"fuzzing sent {REQUESTS.total()} requests: {dict(REQUESTS)}")
