"""OAuth apps: the Entra app registrations that Mailbind signs people in through."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from shared.domain.client_credential import ClientCredential


@dataclass(frozen=True, slots=True)
class OAuthApp:
    """An Entra app registration. `tenant` is the authority's segment: a tenant id, or `organizations`.

    `credentials` are tried in order, so that a new one can be added before the old one ends. `tenants` are the ids of
    the tenants whose people may sign in. `credential_reuse` lets one principal's grant serve many accounts.
    `secret_expires` is when the credential ends, as far as anybody has told.
    """

    id: str
    name: str
    client_id: str
    credentials: tuple[ClientCredential, ...]
    tenant: str
    tenants: frozenset[str]
    scopes: tuple[str, ...]
    credential_reuse: bool = False
    secret_expires: datetime | None = None


def opens_shared_mailboxes(granted: Iterable[str]) -> bool:
    """Whether the granted scopes cover mailboxes of others.

    Without a `.Shared` scope Graph refuses them even to those with Full Access, in the words of a missing access.
    """
    names = (scope.rpartition("/")[2].casefold() for scope in granted)
    return any(name.startswith("mail.read") and name.endswith(".shared") for name in names)
