"""Webhooks."""

from collections.abc import Sequence

from shared.adapters.tables.rows import TableRows
from shared.adapters.tables.table import Table
from shared.domain.webhook import Webhook


class TableWebhooks(TableRows[Webhook]):
    """There are few enough to read all of them, whenever something has happened."""

    def __init__(self, table: Table) -> None:
        super().__init__(table, Webhook, "id")

    async def all(self) -> Sequence[Webhook]:
        """Every webhook."""
        found = self.table.query("PartitionKey ge @from", {"from": ""})
        return [(await self.table.record(Webhook, entity)).value async for entity in found]
