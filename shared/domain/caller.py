"""Callers: API tokens and Entra applications, their scopes, and the accounts that they may access."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Self

from shared.domain.errors import Forbidden, ForbiddenAddress, InvalidToken, MissingScope
from shared.domain.formats import normalize_id


class Scope(StrEnum):
    """A permission of a caller: a scope of an API token, and an app role of Mailbind's registration in Entra."""

    REGISTER = "register"
    ACCOUNTS_READ = "accounts:read"
    ACCOUNTS_WRITE = "accounts:write"
    OAUTH_TOKEN = "oauth-token"  # noqa: S105 - the name of a scope
    MAIL_READ = "mail:read"
    MAIL_WRITE = "mail:write"
    MAIL_SEND = "mail:send"
    WEBHOOKS = "webhooks"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Binding:
    """The accounts that a caller is limited to: ids and id prefixes, each in the form of `normalize_id`."""

    accounts: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()

    @classmethod
    def to(cls, accounts: Iterable[str] = (), prefixes: Iterable[str] = ()) -> Self:
        """A binding to ids and prefixes in any spelling."""
        return cls(tuple(map(normalize_id, accounts)), tuple(map(normalize_id, prefixes)))

    def covers(self, account: str) -> bool:
        """Whether the account is one of them. Ids are compared as table keys are."""
        account_id = normalize_id(account)
        return account_id in self.accounts or any(account_id.startswith(prefix) for prefix in self.prefixes)

    def includes(self, other: "Binding") -> bool:
        """Whether this binding covers every account that the other one covers."""
        includes_prefixes = all(any(theirs.startswith(own) for own in self.prefixes) for theirs in other.prefixes)
        return includes_prefixes and all(map(self.covers, other.accounts))


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller. `id` is for records (`token:…`, `entra:…` or `administrator`), `name` for people.

    A caller without a `binding` may access every account, including accounts that do not exist yet.
    """

    id: str
    name: str
    scopes: frozenset[Scope]
    binding: Binding | None = None

    def has_scope(self, *scopes: Scope) -> bool:
        """Whether the caller has one of these scopes; `admin` includes all."""
        return not self.scopes.isdisjoint({*scopes, Scope.ADMIN})

    def can_access(self, account: str) -> bool:
        """Whether the caller may access the account, which need not exist."""
        return self.binding is None or self.binding.covers(account)

    def can_access_all_of(self, accounts: Binding | None) -> bool:
        """Whether the caller may access all accounts of a binding; None means every account."""
        return self.binding is None or (accounts is not None and self.binding.includes(accounts))

    def require_scope(self, *scopes: Scope) -> None:
        """Raise MissingScope if the caller has none of these scopes."""
        if not self.has_scope(*scopes):
            raise MissingScope(scopes)

    def require_account(self, account: str) -> None:
        """Raise Forbidden if the caller may not access the account, whether or not it exists."""
        if not self.can_access(account):
            raise Forbidden("This caller may not access the account")

    def require_all_accounts(self) -> None:
        """Raise Forbidden if the caller is limited to certain accounts."""
        if self.binding is not None:
            raise Forbidden("This concerns all accounts, and this caller may access certain ones only")


def can_register(requester: Caller | None, accounts: Iterable[str]) -> bool:
    """Whether the caller behind a link may still have all of these accounts bound."""
    return requester is not None and requester.has_scope(Scope.REGISTER) and all(map(requester.can_access, accounts))


def can_change_accounts(requester: Caller | None) -> bool:
    """Whether a link may give an existing account another mailbox or person, which PUT and DELETE would require."""
    return requester is not None and requester.has_scope(Scope.ACCOUNTS_WRITE)


def entra_caller_id(tenant: str, client: str) -> str:
    """The caller id of an application that calls with an Entra access token, made of its tenant and client id."""
    return f"entra:{tenant}/{client}".lower()


@dataclass(frozen=True, slots=True)
class EntraTrust:
    """Which Entra access tokens let an application in: those for one of `audiences`, issued by one of `tenants`.

    These are not the tenants whose people may sign in: an administrator of a tenant can give its applications any role.
    `bindings` are by client id; an application without one may access every account.
    """

    audiences: frozenset[str]
    tenants: frozenset[str]
    bindings: Mapping[str, Binding] = field(default_factory=dict)


type Address = ipaddress.IPv4Address | ipaddress.IPv6Address

TOKEN_ID_PATTERN = re.compile(r"[0-9a-f]{64}")
# `last_used` may be this much too old: a write for every call would cost more than the call.
LAST_USED_INTERVAL = timedelta(hours=1)

parse_network = lru_cache(4096)(ipaddress.ip_network)


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A stored API token. `id` is its SHA-256 in hexadecimal, which is not secret; the token itself is not stored.

    `addresses` are the networks, in CIDR notation, that it may be used from; empty means any. Without a `binding` it
    gives access to every account.
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
        """The caller who shows this token from this address.

        Raises InvalidToken when it has expired, and ForbiddenAddress when it is not for the address. A restricted token
        is never for an unknown address.
        """
        caller = self.current_caller(now)
        if caller is None:
            raise InvalidToken("The API token has expired. Ask your administrator for a new one")
        if self.addresses and not any(address in parse_network(network) for network in self.addresses if address):
            raise ForbiddenAddress(caller.id)
        return caller

    def current_caller(self, now: datetime) -> Caller | None:
        """The caller behind the token, whatever its address; None when the token has expired."""
        if self.expires is not None and now >= self.expires:
            return None
        return Caller(f"token:{self.id}", self.description, self.scopes, self.binding)

    def is_use_recorded(self, now: datetime) -> bool:
        """Whether `last_used` is recent enough, so that a use now needs no write."""
        return self.last_used is not None and now - self.last_used < LAST_USED_INTERVAL

    def with_last_used(self, now: datetime) -> "ApiToken":
        """Used now."""
        return replace(self, last_used=now)


# An application that has not called for this long loses its webhooks and links.
APPLICATION_RETENTION = timedelta(days=90)
# `last_seen` may be this much too old: one write a day for each application that calls.
LAST_SEEN_INTERVAL = timedelta(days=1)
# The scopes of an application that called only before its calls were recorded, until it calls again.
UNRECORDED_APPLICATION_SCOPES = frozenset({Scope.REGISTER, Scope.WEBHOOKS})


@dataclass(frozen=True, slots=True)
class CallingApplication:
    """An application by its caller id (`entra:…`), with the app roles of its newest token as `scopes`.

    `client` is its client id. `tenant` issued the newest token at `issued`, for `audience`; both are unknown for an
    application that has not called since they are stored. Reading an application's roles from Entra would need
    permissions of our own, so a role that was taken away is noticed with the next token.
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
        """Updated by another token. An older token that is still in use changes nothing but `last_seen`."""
        seen = max(self.last_seen, newer.last_seen)
        return replace(newer if newer.issued >= self.issued else self, last_seen=seen)

    def needs_write(self, stored: "CallingApplication") -> bool:
        """Whether it differs from the stored record enough to write it."""
        if self.last_seen - stored.last_seen >= LAST_SEEN_INTERVAL:
            return True
        return replace(self, last_seen=stored.last_seen, issued=stored.issued) != stored

    def caller(self, trust: EntraTrust, now: datetime) -> Caller | None:
        """The caller that it is under the present settings; None if it is not trusted any more."""
        if self.tenant is not None and self.tenant not in trust.tenants:
            return None
        if self.audience is not None and self.audience not in trust.audiences:
            return None
        if now - self.last_seen >= APPLICATION_RETENTION:
            return None
        return Caller(self.id, self.name, self.scopes, trust.bindings.get(self.client))


def unrecorded_application(caller_id: str, now: datetime) -> CallingApplication:
    """An application that called only before its calls were recorded. It counts as seen now, for the last time."""
    tenant, _, client = caller_id.rpartition(":")[2].rpartition("/")
    # Earlier than any token that it shows from now on, even if its clock is behind.
    issued = now - timedelta(days=1)
    return CallingApplication(caller_id, client, client, UNRECORDED_APPLICATION_SCOPES, issued, now, tenant or None)
