"""API tokens: what is kept of the secret that a caller shows."""

import ipaddress
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache

from shared.domain.caller import Binding, Caller, Scope
from shared.domain.errors import Forbidden, InvalidToken

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address

SHAPE = re.compile(r"[0-9a-f]{64}")
# How much later than a use its note may be: a write for every call would cost more than the call.
NOTED_EVERY = timedelta(hours=1)

network = lru_cache(4096)(ipaddress.ip_network)


@dataclass(frozen=True, slots=True)
class ApiToken:
    """What is known of a token. `id` is its SHA-256 in hexadecimal, which is public and all that is stored of it.

    `addresses` are networks in CIDR notation that it may be used from; empty means from anywhere. Without a `binding`
    it reaches every account.
    """

    id: str
    description: str
    scopes: frozenset[Scope]
    created: datetime
    created_by: str
    binding: Binding | None = None
    addresses: tuple[str, ...] = ()
    expires: datetime | None = None
    last_used: datetime | None = None

    def caller(self, now: datetime, address: Address | None) -> Caller:
        """Whoever shows it. Raises InvalidToken once it has expired, and Forbidden for a place it is not for.

        An address that nobody knows is no place that a restricted token is for.
        """
        caller = self.standing(now)
        if caller is None:
            raise InvalidToken("The API token has expired. Ask your administrator for a new one")
        if self.addresses and not any(address in network(one) for one in self.addresses if address):
            raise Forbidden("The API token is not for the address that this request comes from")
        return caller

    def standing(self, now: datetime) -> Caller | None:
        """The caller behind it, wherever it is; None once it has expired."""
        if self.expires is not None and now >= self.expires:
            return None
        return Caller(f"token:{self.id}", self.description, self.scopes, self.binding)

    def noted_at(self, now: datetime) -> bool:
        """Whether a use now is noted already."""
        return self.last_used is not None and now - self.last_used < NOTED_EVERY

    def used_at(self, now: datetime) -> "ApiToken":
        """Used."""
        return replace(self, last_used=now)
