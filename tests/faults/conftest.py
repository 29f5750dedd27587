"""Faults happen to the whole system."""

from tests.journey.conftest import (  # noqa: F401 - fixtures
    api,
    environment,
    instance,
    other_visitor,
    person,
    reusing,
    tenant,
    visitor,
)
