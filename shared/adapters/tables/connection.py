"""The connection to Table Storage."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from azure.data.tables.aio import TableClient, TableServiceClient

from shared.domain.secret import Secret

# The SDK's own defaults wait for minutes; a caller who waits for a token does not (azure-core, RetryPolicy).
PATIENCE: dict[str, Any] = {
    "retry_total": 3,
    "retry_backoff_factor": 0.2,
    "connection_timeout": 5,
    "read_timeout": 10,
}


def connect(tables: Secret, identity: str | None) -> TableServiceClient:
    """One client for all tables: by a connection string, or by a managed identity at an https address."""
    # Imported here because aiohttp is most of a cold start, and indexing does without.
    from azure.core.pipeline.transport import AioHttpTransport  # noqa: PLC0415 - see above

    # The default reads netrc and proxy settings in a thread for every single request.
    transport = AioHttpTransport(use_env_settings=False)
    where = tables.reveal()
    if not where.startswith("https://"):
        return TableServiceClient.from_connection_string(where, transport=transport, **PATIENCE)
    from shared.adapters.managed_identity import managed_identity  # noqa: PLC0415 - not needed with a connection string

    credential = managed_identity(identity)
    return TableServiceClient(where, credential=credential, transport=transport, **PATIENCE)


@dataclass
class TableStorage:
    """All tables, through one client that is made when it is first needed."""

    tables: Secret
    identity: str | None

    @cached_property
    def service(self) -> TableServiceClient:
        """The client."""
        return connect(self.tables, self.identity)

    def table(self, name: str) -> TableClient:
        """A client of one table."""
        return self.service.get_table_client(name)

    async def close(self) -> None:
        """End all connections."""
        if "service" in self.__dict__:
            await self.service.close()
