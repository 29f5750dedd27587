"""The person who signs in."""

import uuid
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """An authorizing principal.

    `tenant_id` and `object_id` are the `tid` and `oid` claims: together they are immutable and unique, which a sign-in
    name is not (Microsoft identity platform, ID token claims reference). `sign_in_name` is shown and suggested, and
    decides nothing.
    """

    tenant_id: str
    object_id: str
    sign_in_name: str

    @property
    def id(self) -> str:
        """The one identity that storage and comparisons go by."""
        return f"{self.tenant_id}.{self.object_id}".lower()


@dataclass(frozen=True, slots=True)
class ExpectedPerson:
    """Whom a link is for, in the words of its caller: an address, the id of a tenant, both or neither."""

    email: str | None = None
    tenant: str | None = None


def is_guid(text: str) -> bool:
    """Whether it is an id as Entra writes them."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
