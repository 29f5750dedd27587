"""Webhooks."""

import logging
from collections.abc import Sequence

from shared.adapters.tables.rows import TableRows
from shared.adapters.tables.table import Table
from shared.domain.errors import SealBroken
from shared.domain.webhook import Webhook

log = logging.getLogger(__name__)


class TableWebhooks(TableRows[Webhook]):
    """There are few enough to read all of them, whenever something has happened."""

    def __init__(self, table: Table) -> None:
        super().__init__(table, Webhook, "id")

    async def all(self) -> Sequence[Webhook]:
        """Every webhook. One whose secrets do not open is left out, lest nobody were told anything."""
        found: list[Webhook] = []
        async for entity in self.table.query("PartitionKey ge @from", {"from": ""}):
            try:
                found.append((await self.table.record(Webhook, entity)).value)
            except SealBroken:
                log.exception("webhook does not open", extra={"webhook": entity["id"]})
        return found
