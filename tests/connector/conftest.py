"""The running system, for the connector that calls it."""

from tests.events.conftest import receiver  # noqa: F401 - a fixture
from tests.journey.conftest import (  # noqa: F401 - fixtures
    api,
    instance,
    person,
    tenant,
    visitor,
)
