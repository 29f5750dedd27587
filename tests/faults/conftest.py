"""Faults happen to the whole system."""

from tests.journey.conftest import (  # noqa: F401 - fixtures
    api,
    instance,
    other_visitor,
    person,
    tenant,
    visitor,
)
