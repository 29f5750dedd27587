"""What the Table service refuses becomes a refusal of ours, alone and in a transaction; on Azurite."""

from datetime import timedelta

import pytest

from shared.adapters.tables.registrations import TableRegistrations
from shared.adapters.tables.table import Write
from shared.domain.errors import NotStorable
from shared.domain.invited_mailbox import InvitedMailbox
from shared.domain.registration import NewestLink, PendingRegistration
from shared.ports import App
from tests.conftest import MovedClock

LARGEST = 32 * 1024  # characters of a property (Understanding the Table service data model)


async def test_value_too_large_for_a_property_cannot_be_stored(services: App, clock: MovedClock) -> None:
    mailbox, now = InvitedMailbox("shared", "support@contoso.example", None), clock()
    url = "x" * (LARGEST + 1)
    registration = PendingRegistration("f" * 64, (mailbox,), url, "app", "caller", now, now + timedelta(hours=1))

    with pytest.raises(NotStorable) as refused:
        await services.stores.registrations.insert(registration)

    assert "NotStorable" == refused.value.code
    assert await services.stores.registrations.get("f" * 64) is None


async def test_value_that_is_too_large_spoils_its_transaction(services: App) -> None:
    small = {"PartitionKey": "too-large", "RowKey": "small"}
    registrations = services.stores.registrations
    assert isinstance(registrations, TableRegistrations)
    table = registrations.table

    with pytest.raises(NotStorable):
        await table.write(
            [Write("create", small), Write("create", {**small, "RowKey": "large", "p": "x" * (LARGEST + 1)})]
        )

    assert [] == [entity async for entity in table.query("PartitionKey eq @of", {"of": "too-large"})]


async def test_value_too_large_fails_an_unconditional_write_too(services: App) -> None:
    with pytest.raises(NotStorable):
        await services.stores.registrations.make_newest(NewestLink("shared", "x" * (LARGEST + 1)))
