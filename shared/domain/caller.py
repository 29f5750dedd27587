"""Who calls the API, and what they may do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from shared.domain.errors import Forbidden
from shared.domain.keys import normal


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
        return cls(tuple(map(normal, accounts)), tuple(map(normal, prefixes)))

    def covers(self, account: str) -> bool:
        """Whether the account is one of them, compared as table keys compare."""
        name = normal(account)
        return name in self.accounts or any(name.startswith(prefix) for prefix in self.prefixes)

    def holds(self, other: "Binding") -> bool:
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

    def may(self, *scopes: Scope) -> bool:
        """Whether one of these scopes is held; `admin` stands for all."""
        return not self.scopes.isdisjoint({*scopes, Scope.ADMIN})

    def may_reach(self, account: str) -> bool:
        """Whether the account is one of theirs; it need not exist."""
        return self.binding is None or self.binding.covers(account)

    def may_reach_all_of(self, accounts: Binding | None) -> bool:
        """Whether all of these accounts are theirs; None stands for every account."""
        return self.binding is None or (accounts is not None and self.binding.holds(accounts))

    def needs(self, *scopes: Scope) -> None:
        """Raise Forbidden when none of these scopes is held (RFC 6750 section 3.1, `insufficient_scope`)."""
        if not self.may(*scopes):
            words = " or ".join(scopes)
            raise Forbidden(f"This needs the scope {words}. Ask your administrator for a token that has it", scopes[0])

    def reaches(self, account: str) -> None:
        """Raise Forbidden when the account is none of theirs, whether or not it exists."""
        if not self.may_reach(account):
            raise Forbidden("The account is outside of those that this caller is bound to")

    def reaches_all(self) -> None:
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
