"""Callers: API tokens, Entra applications, their scopes and the accounts they may reach."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Self

from shared.domain.errors import Forbidden, InvalidToken
from shared.domain.identity import normalize_id


class Scope(StrEnum):
    """What a caller may do: an API token's scopes, and the app roles of Mailbind's registration in Entra."""

    REGISTER = "register"
    ACCOUNTS_READ = "accounts:read"
    ACCOUNTS_WRITE = "accounts:write"
    OAUTH_TOKEN = "oauth-token"  # noqa: S105 - the name of a scope
    WEBHOOKS = "webhooks"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Binding:
    """The accounts that a caller is bound to: exact ids, and beginnings of ids, both normal as `keys.normal` has it."""

    accounts: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()

    @classmethod
    def to(cls, accounts: Iterable[str] = (), prefixes: Iterable[str] = ()) -> Self:
        """A binding to accounts as people write them."""
        return cls(tuple(map(normalize_id, accounts)), tuple(map(normalize_id, prefixes)))

    def covers(self, account: str) -> bool:
        """Whether the account is one of them, compared as table keys compare."""
        name = normalize_id(account)
        return name in self.accounts or any(name.startswith(prefix) for prefix in self.prefixes)

    def includes(self, other: "Binding") -> bool:
        """Whether whatever the other one covers is one of these."""
        begin_so = all(any(one.startswith(mine) for mine in self.prefixes) for one in other.prefixes)
        return begin_so and all(map(self.covers, other.accounts))


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody known. `id` is for records, such as `token:…`, `entra:…` or `administrator`; `name` is for people.

    Without a `binding` every account is within reach, those that are still to come included.
    """

    id: str
    name: str
    scopes: frozenset[Scope]
    binding: Binding | None = None

    def has_scope(self, *scopes: Scope) -> bool:
        """Whether one of these scopes is held; `admin` stands for all."""
        return not self.scopes.isdisjoint({*scopes, Scope.ADMIN})

    def can_access(self, account: str) -> bool:
        """Whether the account is one of theirs; it need not exist."""
        return self.binding is None or self.binding.covers(account)

    def can_access_all_of(self, accounts: Binding | None) -> bool:
        """Whether all of these accounts are theirs; None stands for every account."""
        return self.binding is None or (accounts is not None and self.binding.includes(accounts))

    def require_scope(self, *scopes: Scope) -> None:
        """Raise Forbidden when none of these scopes is held (RFC 6750 section 3.1, `insufficient_scope`)."""
        if not self.has_scope(*scopes):
            words = " or ".join(scopes)
            raise Forbidden(f"This needs the scope {words}. Ask your administrator for a token that has it", scopes[0])

    def require_account(self, account: str) -> None:
        """Raise Forbidden when the account is none of theirs, whether or not it exists."""
        if not self.can_access(account):
            raise Forbidden("The account is outside of those that this caller is bound to")

    def require_all_accounts(self) -> None:
        """Raise Forbidden when the caller is bound to certain accounts."""
        if self.binding is not None:
            raise Forbidden("This concerns every account, and this caller is bound to certain ones")


def entra_caller_id(tenant: str, client: str) -> str:
    """The id of an application that calls with an access token of Entra's: its tenant, and its client id."""
    return f"entra:{tenant}/{client}".lower()


@dataclass(frozen=True, slots=True)
class EntraTrust:
    """Which of Entra's tokens let an application in: those for one of `audiences`, of one of `tenants`.

    The tenants are not those whose people may sign in: whoever administers a tenant gives its applications what roles
    they like. `bindings` are by client id; an application that has none reaches every account.
    """

    audiences: frozenset[str]
    tenants: frozenset[str]
    bindings: Mapping[str, Binding] = field(default_factory=dict)


type Address = ipaddress.IPv4Address | ipaddress.IPv6Address

TOKEN_ID_PATTERN = re.compile(r"[0-9a-f]{64}")
# How much later than a use its note may be: a write for every call would cost more than the call.
LAST_USED_INTERVAL = timedelta(hours=1)

parse_network = lru_cache(4096)(ipaddress.ip_network)


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
        caller = self.current_caller(now)
        if caller is None:
            raise InvalidToken("The API token has expired. Ask your administrator for a new one")
        if self.addresses and not any(address in parse_network(one) for one in self.addresses if address):
            raise Forbidden("The API token is not for the address that this request comes from")
        return caller

    def current_caller(self, now: datetime) -> Caller | None:
        """The caller behind it, wherever it is; None once it has expired."""
        if self.expires is not None and now >= self.expires:
            return None
        return Caller(f"token:{self.id}", self.description, self.scopes, self.binding)

    def is_use_recorded(self, now: datetime) -> bool:
        """Whether a use now is noted already."""
        return self.last_used is not None and now - self.last_used < LAST_USED_INTERVAL

    def with_last_used(self, now: datetime) -> "ApiToken":
        """Used."""
        return replace(self, last_used=now)


# An application that has not called for this long no longer stands behind its webhooks and links.
APPLICATION_RETENTION = timedelta(days=90)
# How much later than a call `last_seen` may be: one write a day for each application that calls.
LAST_SEEN_INTERVAL = timedelta(days=1)
# What an application of before these rows were kept may go on with until it calls again.
UNRECORDED_APPLICATION_SCOPES = frozenset({Scope.REGISTER, Scope.WEBHOOKS})


@dataclass(frozen=True, slots=True)
class CallingApplication:
    """An application by its caller id (`entra:…`), with the app roles that its newest token carried.

    `client` is its client id. `tenant` issued that token at `issued`, for `audience`; both are unknown for an
    application that made something before this version and has not called since. Entra has no way to ask for roles
    without permissions of one's own, so a role that was taken away is noticed with the next token.
    """

    id: str
    name: str
    client: str
    scopes: frozenset[Scope]
    issued: datetime
    last_seen: datetime
    tenant: str | None = None
    audience: str | None = None

    def updated_by(self, newer: "CallingApplication") -> "CallingApplication":
        """With what another token said of it. An older token that is still in use takes nothing back."""
        seen = max(self.last_seen, newer.last_seen)
        return replace(newer if newer.issued >= self.issued else self, last_seen=seen)

    def needs_write(self, stored: "CallingApplication") -> bool:
        """Whether it says more than what is stored, so that a write is worth it."""
        if self.last_seen - stored.last_seen >= LAST_SEEN_INTERVAL:
            return True
        return replace(self, last_seen=stored.last_seen, issued=stored.issued) != stored

    def caller(self, trust: EntraTrust, now: datetime) -> Caller | None:
        """The caller that it is now, by the settings of now; None when it no longer counts."""
        if self.tenant is not None and self.tenant not in trust.tenants:
            return None
        if self.audience is not None and self.audience not in trust.audiences:
            return None
        if now - self.last_seen >= APPLICATION_RETENTION:
            return None
        return Caller(self.id, self.name, self.scopes, trust.bindings.get(self.client))


def unrecorded_application(caller_id: str, now: datetime) -> CallingApplication:
    """An application that made something before its calls were recorded: it counts as seen now, for the last time."""
    tenant, _, client = caller_id.rpartition(":")[2].rpartition("/")
    # Any token that it shows was issued later than this, even with a clock that is behind.
    issued = now - timedelta(days=1)
    return CallingApplication(caller_id, client, client, UNRECORDED_APPLICATION_SCOPES, issued, now, tenant or None)
