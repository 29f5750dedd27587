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
MAILBOX_ERRORS = frozenset({"no_mailbox_access", "missing_scope"})


@dataclass(frozen=True, slots=True)
class Account:
    """A bound account. `email` is the mailbox address; `shared` tells it from the principal's own mailbox."""

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

    def rebound(self, principal: Principal, registration: str, now: datetime) -> "Account":
        """Authorized anew, by the same principal or by another one who was allowed to take it over."""
        return replace(
            self,
            principal_id=principal.id,
            sign_in_name=principal.sign_in_name,
            registration=registration,
            bound=now,
            state=AccountState.CONNECTED,
            last_error=None,
        )

    def troubled(self, state: AccountState, code: str, now: datetime) -> "Account":
        """In an error state; the same error keeps the time of its first appearance."""
        if self.state is state and self.last_error is not None and self.last_error.code == code:
            return self
        return replace(self, state=state, last_error=LastError(code, now))

    def recovered(self) -> "Account":
        """Connected again."""
        return replace(self, state=AccountState.CONNECTED, last_error=None)

    @property
    def lost_mailbox(self) -> bool:
        """Whether the trouble is with this mailbox only, not with the grant."""
        return self.last_error is not None and self.last_error.code in MAILBOX_ERRORS
