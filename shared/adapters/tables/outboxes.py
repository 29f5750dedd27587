"""Events, in the partitions of what they tell of."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import batched

from shared.adapters.tables.table import Table
from shared.domain.event import Event, Origin
from shared.domain.formats import table_key

AT_ONCE = 100  # rows of one transaction (Table service: entity group transactions)


@dataclass(frozen=True, slots=True)
class TableOutboxes:
    """Row keys are `event~` and the event's id, whichever table it is."""

    tables: Mapping[Origin, Table]

    async def read(self, origin: Origin, owner: str, event: str) -> Event | None:
        """An event by one point read."""
        stored = await self.tables[origin].read(Event, table_key(owner), f"event~{event}")
        return stored.value if stored else None

    async def forget(self, events: Sequence[Event]) -> None:
        """Delete events, those of one place together."""
        rows: dict[tuple[Origin, str], list[str]] = {}
        for event in events:
            rows.setdefault((event.origin, table_key(event.owner)), []).append(f"event~{event.id}")
        await asyncio.gather(
            *(
                self.tables[origin].drop(owner, some)
                for (origin, owner), found in rows.items()
                for some in batched(found, AT_ONCE, strict=False)
            )
        )
