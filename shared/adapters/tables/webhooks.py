"""Webhooks."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from shared.adapters.tables.rows import TableRows
from shared.adapters.tables.table import Table
from shared.domain.errors import SealBroken
from shared.domain.keys import key
from shared.domain.webhook import Webhook
from shared.ports import Stored

log = logging.getLogger(__name__)


class TableWebhooks(TableRows[Webhook]):
    """There are few enough to read all of them, whenever something has happened."""

    def __init__(self, table: Table) -> None:
        super().__init__(table, Webhook, "id")

    async def get(self, identity: str) -> Stored[Webhook] | None:
        """The webhook, or None."""
        async for entity in self.table.query("PartitionKey eq @of", {"of": key(identity)}):
            return await self._opened(entity)
        return None

    async def all(self) -> Sequence[Webhook]:
        """Every webhook."""
        entities = self.table.query("PartitionKey ge @from", {"from": ""})
        return [(await self._opened(entity)).value async for entity in entities]

    async def _opened(self, entity: Mapping[str, Any]) -> Stored[Webhook]:
        """Without the secrets when these do not open: it can be deleted or subscribed anew, and others hear on."""
        try:
            return await self.table.record(Webhook, entity)
        except SealBroken:
            log.exception("webhook does not open", extra={"webhook": entity["id"]})
            return self.table.bare(Webhook, entity)
