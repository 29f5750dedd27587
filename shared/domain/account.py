"""Accounts: what callers register, and how they are doing."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from shared.domain.principal import Principal


class AccountState(StrEnum):
    """States by the names that callers of EmailEngine know."""

    INIT = "init"
    CONNECTED = "connected"
    AUTHENTICATION_ERROR = "authenticationError"
    CONNECT_ERROR = "connectError"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class LastError:
    """Why an account is not connected: a stable code, and since when."""

    code: str
    since: datetime


# Found by probing one mailbox; every other error belongs to the grant and so to all of its accounts.
MAILBOX_REPLACED = "mailbox_replaced"
MAILBOX_ERROR_CODES = frozenset({"no_mailbox_access", "missing_scope", MAILBOX_REPLACED})


@dataclass(frozen=True, slots=True)
class Account:
    """A bound account. `email` is the mailbox address; `shared` tells it from the principal's own mailbox.

    `through` is the account whose grant it was bound to without a sign-in, if it was. `told` is when its last event
    counts as having happened; `warned` is the end of its grant that was warned of. `inbox_id` is the id of the inbox
    folder of the mailbox that was proven, which is the same whatever the mailbox is called; accounts from before it was
    kept get it at their next probe, and those that are opened by IMAP have none. `replaced_since` is when another
    mailbox was first found at the address: until that is settled nothing is handed out.
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

    def reauthorized(self, principal: Principal, registration: str, now: datetime) -> "Account":
        """Authorized anew, by the same principal or by another one who was allowed to take it over."""
        return replace(
            self,
            principal_id=principal.id,
            sign_in_name=principal.sign_in_name,
            registration=registration,
            bound=now,
            replaced_since=None,
        ).recovered()

    def with_error(self, state: AccountState, code: str, now: datetime) -> "Account":
        """In an error state; the same error keeps the time of its first appearance."""
        state = self._shown(state)
        if self.state is state and self.last_error is not None and self.last_error.code == code:
            return self
        return replace(self, state=state, last_error=LastError(code, now))

    def after_probe(self, inbox_id: str | None, now: datetime) -> "Account":
        """Its mailbox opened. Where the inbox is that of another mailbox, an administrator gave the address away."""
        known = replace(self, inbox_id=self.inbox_id or inbox_id)
        if inbox_id is not None and known.inbox_id != inbox_id:
            lost = replace(known, replaced_since=self.replaced_since or now)
            return lost.with_error(AccountState.CONNECT_ERROR, MAILBOX_REPLACED, now)
        if inbox_id is not None:
            known = replace(known, replaced_since=None)
        return known.recovered() if known.has_mailbox_error else known

    def recovered(self) -> "Account":
        """Connected again, unless its address leads to another mailbox, which no new token mends."""
        if self.replaced_since is not None:
            return self.with_error(AccountState.CONNECT_ERROR, MAILBOX_REPLACED, self.replaced_since)
        return replace(self, state=self._shown(AccountState.CONNECTED), last_error=None)

    def paused(self) -> "Account":
        """Nothing is handed out until it is resumed. All else goes on: what goes wrong meanwhile shows as an error."""
        return replace(self, state=AccountState.PAUSED)

    def resumed(self, grant_state: AccountState) -> "Account":
        """In the state that it would be in, had it never been paused."""
        if self.last_error is None:
            return replace(self, state=AccountState.CONNECTED)
        return replace(self, state=AccountState.CONNECT_ERROR if self.has_mailbox_error else grant_state)

    def _shown(self, state: AccountState) -> AccountState:
        return AccountState.PAUSED if self.state is AccountState.PAUSED else state

    @property
    def has_mailbox_error(self) -> bool:
        """Whether the trouble is with this mailbox only, not with the grant."""
        return self.last_error is not None and self.last_error.code in MAILBOX_ERROR_CODES
