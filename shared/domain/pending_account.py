"""Pending accounts: the principal is known, the mailbox is not proven yet."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.clouds import Resource
from shared.domain.keys import same_id
from shared.domain.principal import Principal
from shared.domain.secret import Secret
from shared.domain.tokens import TokenSet

# Exchange takes up to an hour, sometimes a day, to notice new permissions (graph-docs issues 2361 and 4978).
ACCESS_PATIENCE = timedelta(hours=24)
OUTAGE_PATIENCE = timedelta(hours=1)
ACCESS_PAUSE = timedelta(minutes=5)
OUTAGE_PAUSE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class PendingAccount:
    """A grant that waits for mailboxes to open, kept in the principal's partition.

    `kept` says that the person asked to keep checking; otherwise only an outage at Microsoft is waited for. `accounts`
    are those of the registration that are waited for; none in rows of before there could be several.
    """

    registration: str
    principal: Principal
    app: str
    refresh_token: Secret
    access_token: Secret
    access_expires: datetime
    scopes: tuple[str, ...]
    kept: bool
    reason: str
    since: datetime
    until: datetime
    due: datetime
    resource: Resource = Resource.GRAPH
    accounts: tuple[str, ...] = ()

    @property
    def tokens(self) -> TokenSet:
        """The grant that waits."""
        return TokenSet(self.refresh_token, self.access_token, self.access_expires, self.scopes, self.resource)

    def after(self, before: "PendingAccount") -> "PendingAccount":
        """In place of earlier waiting: an outage does not cut short what the person asked for."""
        both = replace(self, accounts=tuple(dict.fromkeys((*before.accounts, *self.accounts))))
        return replace(both, kept=True, until=max(self.until, before.until)) if before.kept else both

    def waits_for(self, account: str) -> bool:
        """Whether this account's mailbox is waited for."""
        return not self.accounts or any(same_id(account, waiting) for waiting in self.accounts)

    def without(self, account: str) -> "PendingAccount | None":
        """Waiting for the others only, or for none any more."""
        left = tuple(other for other in self.accounts if not same_id(other, account))
        return replace(self, accounts=left) if left else None

    def looked(self, reason: str, now: datetime) -> "PendingAccount":
        """Probed again, without success; `reason` says why."""
        pause = ACCESS_PAUSE if reason == "no_mailbox_access" else OUTAGE_PAUSE
        return replace(self, reason=reason, due=now + pause)

    def refreshed(self, tokens: TokenSet) -> "PendingAccount":
        """With newer tokens."""
        return replace(
            self,
            refresh_token=tokens.refresh_token,
            access_token=tokens.access_token,
            access_expires=tokens.expires,
            scopes=tokens.scopes,
            resource=tokens.resource,
        )


def wait_for_access(
    *,
    registration: str,
    accounts: tuple[str, ...],
    principal: Principal,
    app: str,
    tokens: TokenSet,
    kept: bool,
    reason: str,
    now: datetime,
) -> PendingAccount:
    """Begin to wait: a day when the person asked for it, an hour when Microsoft did not answer."""
    return PendingAccount(
        registration=registration,
        principal=principal,
        app=app,
        refresh_token=tokens.refresh_token,
        access_token=tokens.access_token,
        access_expires=tokens.expires,
        scopes=tokens.scopes,
        kept=kept,
        reason=reason,
        since=now,
        until=now + (ACCESS_PATIENCE if kept else OUTAGE_PATIENCE),
        due=now + (ACCESS_PAUSE if kept else OUTAGE_PAUSE),
        resource=tokens.resource,
        accounts=accounts,
    )
