"""Accounts, and the principals who authorize them."""

import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from shared.domain.failure import MailboxRefusal
from shared.domain.formats import same_address, same_id

GUEST_MARK = "#EXT#"
MAX_FORMER_NAMES = 10


@dataclass(frozen=True, slots=True)
class Principal:
    """An authorizing principal.

    `tenant_id` and `object_id` are the `tid` and `oid` claims: together they are immutable and unique, and a sign-in
    name is neither (Microsoft identity platform, ID token claims reference). `sign_in_name` is only shown and used as a
    login hint. `token_name` is what the newest ID token calls the person, which differs for a guest.
    """

    tenant_id: str
    object_id: str
    sign_in_name: str
    token_name: str | None = field(default=None, compare=False)

    @property
    def id(self) -> str:
        """The identity in storage and in comparisons."""
        return f"{self.tenant_id}.{self.object_id}".lower()

    def renamed(self, named: "Principal | None") -> "Principal":
        """With the name of the same person in a newer ID token, if it has changed; an empty one is no name.

        Guests keep their user principal name, because the token calls them by an address of their home tenant
        (Entra External ID, "Properties of a B2B guest user").
        """
        name = named.sign_in_name if named is not None else ""
        if not name or name == self.token_name:
            return self
        is_guest = GUEST_MARK in self.sign_in_name.upper()
        return replace(self, sign_in_name=self.sign_in_name if is_guest else name, token_name=name)


class ExpectedPerson(NamedTuple):
    """Who must sign in, as the caller said: an address, a tenant id, both or neither."""

    email: str | None = None
    tenant: str | None = None


def is_guid(text: str) -> bool:
    """Whether it is an id in the form that Entra writes."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class PrincipalBindings:
    """One row for each principal that authorizes an account, through any OAuth app.

    Every transaction that adds an account to the principal, or removes one, overwrites the version of this row that it
    read. Of two concurrent transactions one therefore fails and decides again, so that the rule "one principal, one
    account" cannot be bypassed through two OAuth apps. A partition from before this row existed gets it with its next
    binding. The row is deleted with the last account.
    """

    principal_id: str
    changed: datetime


class AccountState(StrEnum):
    """The state of an account, named as in EmailEngine."""

    INIT = "init"
    CONNECTED = "connected"
    AUTHENTICATION_ERROR = "authenticationError"
    CONNECT_ERROR = "connectError"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class LastError:
    """Why an account is not connected: a stable code, and when it first occurred.

    `claims` are those of a claims challenge, which the next sign-in has to carry.
    """

    code: str
    since: datetime
    claims: str | None = None


# Errors that a probe finds for one mailbox. Every other error is about the grant, and so about all of its accounts.
MAILBOX_REPLACED = "mailbox_replaced"
MAILBOX_ERROR_CODES = frozenset({*(refusal.value for refusal in MailboxRefusal), MAILBOX_REPLACED})


@dataclass(frozen=True, slots=True)
class Account:
    """A bound account. `email` is the mailbox address; `shared` is false for the principal's own mailbox.

    `sign_in_name` is the principal's, and `former_names` are earlier ones.

    `through` is the account whose grant this one was bound to without a sign-in, if it was. `told` is the time of its
    last event, and `warned` the grant expiry for which a warning was sent. `inbox_id` is the id of the proven mailbox's
    inbox folder, which stays the same when the mailbox is renamed; an account from before it was stored gets it at its
    next probe, and an account that is opened by IMAP has none. `replaced_since` is when another mailbox was first seen
    at the address; no token is handed out until that is settled. `hands_out` is the switch of `shared.domain.hand_out`.
    """

    id: str
    name: str
    email: str
    shared: bool
    principal_id: str
    sign_in_name: str
    app: str
    registration: str
    created: datetime
    bound: datetime
    state: AccountState = AccountState.CONNECTED
    last_error: LastError | None = None
    through: str | None = None
    told: datetime | None = None
    warned: datetime | None = None
    inbox_id: str | None = None
    replaced_since: datetime | None = None
    former_names: tuple[str, ...] = ()
    hands_out: bool = True

    @property
    def principal_names(self) -> tuple[str, ...]:
        """The sign-in name of the principal, and its former ones."""
        return (self.sign_in_name, *self.former_names)

    def is_authorized_by(self, name: str) -> bool:
        """Whether this is, or was, the sign-in name of the principal."""
        return any(same_address(name, known) for known in self.principal_names)

    def is_named(self, mailbox: str) -> bool:
        """Whether this is the mailbox's address, or the account's id."""
        return same_address(mailbox, self.email) or same_id(mailbox, self.id)

    @property
    def is_healthy(self) -> bool:
        """Whether its mailbox can be used now, as far as is known."""
        return self.state is AccountState.CONNECTED and self.replaced_since is None

    def renamed(self, sign_in_name: str) -> "Account":
        """With the principal's new sign-in name."""
        if sign_in_name == self.sign_in_name:
            return self
        former_names = tuple(dict.fromkeys((*self.former_names, self.sign_in_name)))[-MAX_FORMER_NAMES:]
        return replace(self, sign_in_name=sign_in_name, former_names=former_names)

    def reauthorized(self, principal: Principal, registration: str, now: datetime) -> "Account":
        """Authorized again, by the same principal or by another one that was allowed to take the account over."""
        if principal.id == self.principal_id:
            named = self.renamed(principal.sign_in_name)
        else:
            named = replace(self, principal_id=principal.id, sign_in_name=principal.sign_in_name, former_names=())
        return replace(named, registration=registration, bound=now, replaced_since=None).recovered()

    def with_error(self, state: AccountState, code: str, now: datetime, claims: str | None = None) -> "Account":
        """In an error state. The same error keeps the time when it first occurred, and its claims."""
        state = self._unless_paused(state)
        if self.state is state and self.last_error is not None and self.last_error.code == code:
            return self
        return replace(self, state=state, last_error=LastError(code, now, claims))

    def after_probe(self, inbox_id: str | None, now: datetime) -> "Account":
        """The mailbox opened. A different inbox id means that an administrator gave the address to another mailbox."""
        known = replace(self, inbox_id=self.inbox_id or inbox_id)
        if inbox_id is not None and known.inbox_id != inbox_id:
            replaced = replace(known, replaced_since=self.replaced_since or now)
            return replaced.with_error(AccountState.CONNECT_ERROR, MAILBOX_REPLACED, now)
        if inbox_id is not None:
            known = replace(known, replaced_since=None)
        return known.recovered() if known.has_mailbox_error else known

    def recovered(self) -> "Account":
        """Connected again, unless another mailbox is at the address, which no new token repairs."""
        if self.replaced_since is not None:
            return self.with_error(AccountState.CONNECT_ERROR, MAILBOX_REPLACED, self.replaced_since)
        return replace(self, state=self._unless_paused(AccountState.CONNECTED), last_error=None)

    def paused(self) -> "Account":
        """Paused: no token is handed out until it is resumed. Refreshes and probes continue, and errors still show."""
        return replace(self, state=AccountState.PAUSED)

    def resumed(self, grant_state: AccountState) -> "Account":
        """In the state it would have if it had never been paused."""
        if self.last_error is None:
            return replace(self, state=AccountState.CONNECTED)
        return replace(self, state=AccountState.CONNECT_ERROR if self.has_mailbox_error else grant_state)

    def _unless_paused(self, state: AccountState) -> AccountState:
        return AccountState.PAUSED if self.state is AccountState.PAUSED else state

    @property
    def has_grant_error(self) -> bool:
        """Whether the error is about the grant, and so about all of its accounts."""
        return self.last_error is not None and not self.has_mailbox_error

    @property
    def has_mailbox_error(self) -> bool:
        """Whether the error is about this mailbox only, not about the grant."""
        return self.last_error is not None and self.last_error.code in MAILBOX_ERROR_CODES
