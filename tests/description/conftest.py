"""The running system, for what its descriptions say of it."""

from tests.journey.conftest import api, tenant  # noqa: F401 - fixtures
