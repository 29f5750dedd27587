"""Credentials of managed identities for the Azure SDK's async clients."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.identity.aio import ManagedIdentityCredential


def managed_identity(client_id: str | None, **options: Any) -> "ManagedIdentityCredential":  # noqa: ANN401 - the SDK's
    """A credential that calls the identity endpoint directly, even if the environment sets a proxy."""
    from azure.core.pipeline.transport import AioHttpTransport  # noqa: PLC0415 - most of a cold start
    from azure.identity.aio import ManagedIdentityCredential  # noqa: PLC0415 - not needed with connection strings

    transport = AioHttpTransport(use_env_settings=False, **options)
    return ManagedIdentityCredential(client_id=client_id, transport=transport, **options)
