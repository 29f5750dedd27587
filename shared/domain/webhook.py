"""Webhooks, their deliveries, and which events their callers may still get."""

import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from shared.domain.caller import Binding, Caller, Scope
from shared.domain.errors import KeyUnavailable
from shared.domain.event import Event
from shared.domain.formats import fingerprint
from shared.domain.secret import MASK, Secret

GLOBAL_WEBHOOK_ID = "global"
ALL_EVENTS = "*"
SIGNING_SECRET_PREFIX = "whsec_"  # noqa: S105 - the beginning of every one
LOST_SECRETS_MESSAGE = "its secrets cannot be decrypted any more: set its URL again, or delete it"


@dataclass(frozen=True, slots=True)
class Webhook:
    """A target for events. `url` is secret, because flows and chats put a key in it; people see its part `place`.

    `secret` signs the deliveries: the bytes that `whsec_…` encodes (Standard Webhooks specification), or any other text
    as it is. `events` are event names, or `*`. `headers` are added to each request. A webhook without a `filter` gets
    the events of all accounts, and those about no account. One that is not `enabled` gets nothing. `gone` is when the
    target answered that it no longer wants events.
    """

    id: str
    place: str
    events: tuple[str, ...]
    created: datetime
    created_by: str
    url: Secret = field(default=Secret(""))
    secret: Secret = field(default=Secret(""))
    filter: Binding | None = None
    description: str | None = None
    headers: Secret = field(default=Secret(""))
    header_names: tuple[str, ...] = ()
    enabled: bool = True
    gone: datetime | None = None

    @property
    def is_active(self) -> bool:
        """Whether events are delivered."""
        return self.enabled and self.gone is None and bool(self.place)

    def may_be_changed_by(self, caller: Caller) -> bool:
        """Whether the caller may change it: administrators may change every webhook, others their own."""
        return caller.has_scope(Scope.ADMIN) or (self.id != GLOBAL_WEBHOOK_ID and self.created_by == caller.id)

    @property
    def has_lost_secrets(self) -> bool:
        """Whether its secrets cannot be decrypted any more. Every webhook has a signing secret."""
        try:
            return self.secret == Secret("")
        except KeyUnavailable:  # they can be decrypted when the vault answers again
            return False

    def subscribes_to(self, event: Event) -> bool:
        """Whether it gets events with this name; `covers` decides about the account."""
        return self.is_active and (ALL_EVENTS in self.events or event.name in self.events)

    def covers(self, account: str | None) -> bool:
        """Whether it gets events about the account; None stands for events about no account."""
        return self.filter is None or (account is not None and self.filter.covers(account))

    def marked_gone(self, now: datetime) -> "Webhook":
        """The target answered 410, so nothing more is sent (Standard Webhooks specification, "Operational")."""
        return replace(self, gone=now)


def webhook_id(url: Secret, accounts: Binding | None, caller: str | None) -> str:
    """The id, derived from the URL, the accounts and the id of the subscribing caller.

    So subscribing twice changes nothing, and nobody can change another caller's webhook by knowing its URL. Without a
    caller it is the id that webhooks had before callers had their own.
    """
    account_filter = [sorted(accounts.accounts), sorted(accounts.prefixes)] if accounts else None
    parts = [url.reveal(), account_filter] if caller is None else [url.reveal(), account_filter, caller]
    return fingerprint(json.dumps(parts))[:32]


def masked_url(url: Secret) -> str:
    """The part of a URL that people may see: its origin. Flows have a key in the query, chat channels in the path."""
    parts = urlsplit(url.reveal())
    shown = parts._replace(netloc=parts.netloc.rpartition("@")[2], path="", query="", fragment="").geturl()
    return f"{shown}/{MASK}" if parts.path not in {"", "/"} or parts.query else shown


def url_origin(url: Secret) -> tuple[str, str, int | None]:
    """Scheme, host and port, as used for a connection (RFC 6454 section 4)."""
    parts = urlsplit(url.reveal())
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def is_target_url(url: str) -> bool:
    """Whether it may be a target's URL, and is not a masked one. Its address is checked later."""
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:  # half an IPv6 address, or an invalid port
        return False
    printable = all("!" <= letter <= "~" for letter in url) and "\\" not in url
    return has_host and printable and MASK not in url and parts.scheme in {"https", "http"}


FIRST_RETRY_DELAY, MAX_RETRY_DELAY = timedelta(seconds=5), timedelta(minutes=30)
DELIVERY_PERIOD = timedelta(days=3)
DEAD_LETTER_RETENTION = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one webhook, with the exact text that is sent.

    `id` is the event's. Deliveries of the same `lane` arrive in the order of their ids. After a failure a delivery
    waits until `not_before`. One that has failed for three days becomes a dead letter (`parked`), and its lane goes on
    without it. Deliveries that `can_wait` are read after all others of their webhook.
    """

    webhook: str
    id: str
    lane: str
    event: str
    body: str
    queued: datetime
    account: str | None = None
    attempts: int = 0
    not_before: datetime | None = None
    error: str | None = None
    parked: datetime | None = None
    can_wait: bool = False
    accounts: tuple[str, ...] = ()

    @property
    def concerned_accounts(self) -> tuple[str | None, ...]:
        """The accounts that the event is about; None stands for an event about no single account."""
        return self.accounts or (self.account,)

    def after_failure(
        self, error: str, now: datetime, jitter: float, retry_after: timedelta | None = None
    ) -> "Delivery":
        """After a failed attempt: retry after 5 s, 20 s, 80 s … 30 minutes, each varied by up to a fifth."""
        failed = replace(self, attempts=self.attempts + 1, error=error)
        if now - self.queued >= DELIVERY_PERIOD:
            return replace(failed, parked=now, not_before=None)
        delay = min(FIRST_RETRY_DELAY * 4 ** min(self.attempts, 10), MAX_RETRY_DELAY) * (0.8 + 0.4 * jitter)
        return replace(failed, not_before=now + max(delay, min(retry_after or timedelta(), MAX_RETRY_DELAY)))

    def requeued(self, now: datetime) -> "Delivery":
        """To be delivered again, with the full retry period."""
        return replace(self, attempts=0, queued=now, not_before=None, parked=None)


@dataclass(frozen=True, slots=True)
class Lease:
    """The instance that delivers at present. If it dies, another one takes over at `until`."""

    holder: str
    until: datetime
    name: str = "delivery"


NO_CALLER_MESSAGE = (
    "Its caller was revoked, has expired or no longer exists. Delete the webhook, or subscribe as another caller"
)
NO_SCOPE_MESSAGE = "Its caller lost the scope webhooks. Restore the scope, or delete the webhook"
NO_ACCESS_MESSAGE = "Its caller may no longer access all of its accounts. Restore the access, or delete the webhook"


def can_receive_events_of(owner: Caller | None, account: str | None) -> bool:
    """Whether a webhook's owner may get an event; an event without an account is about every account."""
    if owner is None or not owner.has_scope(Scope.WEBHOOKS):
        return False
    return owner.binding is None if account is None else owner.can_access(account)


def withdrawal_reason(owner: Caller | None, accounts: Binding | None) -> str | None:
    """Why a webhook for these accounts gets no events, or not all; None while it gets everything it asked for."""
    if owner is None:
        return NO_CALLER_MESSAGE
    if not owner.has_scope(Scope.WEBHOOKS):
        return NO_SCOPE_MESSAGE
    return None if owner.can_access_all_of(accounts) else NO_ACCESS_MESSAGE
