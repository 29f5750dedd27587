"""A webhook subscription, its deliveries, and whether its caller still has the right to it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from shared.domain.caller import Binding, Caller, Scope
from shared.domain.errors import KeyUnavailable
from shared.domain.event import Event
from shared.domain.identity import fingerprint
from shared.domain.secret import MASK, Secret

GLOBAL_WEBHOOK_ID = "global"
ALL_EVENTS = "*"
SIGNING_SECRET_PREFIX = "whsec_"  # noqa: S105 - the beginning of every one
LOST_SECRETS_MESSAGE = "its secrets do not open any more: give its URL again, or delete it"


@dataclass(frozen=True, slots=True)
class Webhook:
    """A target. `url` is a secret, because flows and chats keep theirs in it; `place` is what people may see of it.

    `secret` signs: the bytes that `whsec_…` stands for (Standard Webhooks specification), or any other text as it is.
    `events` are names, or `*`. `headers` are sent too. Without `filter` events of all accounts go there, and those that
    belong to none. One that is not `enabled` gets nothing; `gone` says that it asked for that itself.
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
        """Whether anything is delivered."""
        return self.enabled and self.gone is None and bool(self.place)

    def may_be_changed_by(self, caller: Caller) -> bool:
        """Whether it is the caller's own; administrators may change each."""
        return caller.has_scope(Scope.ADMIN) or (self.id != GLOBAL_WEBHOOK_ID and self.created_by == caller.id)

    @property
    def has_lost_secrets(self) -> bool:
        """Whether its secrets do not open any more; one that was made has a signing secret."""
        try:
            return self.secret == Secret("")
        except KeyUnavailable:  # they open again when the vault answers
            return False

    def subscribes_to(self, event: Event) -> bool:
        """Whether the event is for this target, if it is about an account that the target hears of."""
        return self.is_active and (ALL_EVENTS in self.events or event.name in self.events)

    def covers(self, account: str | None) -> bool:
        """Whether events of the account, or of none, come here."""
        return self.filter is None or (account is not None and self.filter.covers(account))

    def marked_gone(self, now: datetime) -> "Webhook":
        """It answered 410: nothing is sent there any more (Standard Webhooks specification, "Operational")."""
        return replace(self, gone=now)


def webhook_id(url: Secret, accounts: Binding | None, caller: str | None) -> str:
    """The id that follows from where events go, of which accounts, and who asked, by the caller's id.

    So subscribing twice changes nothing, and nobody changes another caller's webhook by knowing its URL. Without a
    caller it is the id that webhooks had before callers had their own.
    """
    filtered = [sorted(accounts.accounts), sorted(accounts.prefixes)] if accounts else None
    named = [url.reveal(), filtered] if caller is None else [url.reveal(), filtered, caller]
    return fingerprint(json.dumps(named))[:32]


def masked_url(url: Secret) -> str:
    """What of a URL may be shown: its origin. Flows keep a key in the query, chat channels theirs in the path."""
    parts = urlsplit(url.reveal())
    shown = parts._replace(netloc=parts.netloc.rpartition("@")[2], path="", query="", fragment="").geturl()
    return f"{shown}/{MASK}" if parts.path not in {"", "/"} or parts.query else shown


def url_origin(url: Secret) -> tuple[str, str, int | None]:
    """Scheme, host and port, as a connection is made to them (RFC 6454 section 4)."""
    parts = urlsplit(url.reveal())
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def is_target_url(url: str) -> bool:
    """Whether it could be a target's URL, and not what is shown of one; where it leads is looked up later."""
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:  # half an IPv6 address, or a port that is none
        return False
    printable = all("!" <= letter <= "~" for letter in url) and "\\" not in url
    return named and printable and MASK not in url and parts.scheme in {"https", "http"}


def delivery_body(event: Event, service_url: str, at: str) -> Mapping[str, object]:
    """What is sent: EmailEngine's fields, the event's id, by which receivers know repetitions, and what it came of."""
    return {
        "serviceUrl": service_url,
        "account": event.account,
        "date": at,
        "event": event.name,
        "data": event.data,
        "id": event.id,
        "correlation": event.correlation,
    }


FIRST_RETRY_DELAY, MAX_RETRY_DELAY = timedelta(seconds=5), timedelta(minutes=30)
DELIVERY_PERIOD = timedelta(days=3)
DEAD_LETTER_RETENTION = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one target, with the very text that is sent.

    `id` is the event's. Deliveries of one `lane` arrive in the order of their ids. One that failed waits until
    `not_before`; one that failed for three days is `parked`, and its lane goes on without it. One that
    `can_wait` is read behind all others of its target.
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
        """The accounts that it tells of; None stands for all."""
        return self.accounts or (self.account,)

    def after_failure(
        self, error: str, now: datetime, jitter: float, retry_after: timedelta | None = None
    ) -> "Delivery":
        """After one more attempt that came to nothing: 5 s, 20 s, 80 s … 30 minutes, spread by a fifth."""
        tried = replace(self, attempts=self.attempts + 1, error=error)
        if now - self.queued >= DELIVERY_PERIOD:
            return replace(tried, parked=now, not_before=None)
        pause = min(FIRST_RETRY_DELAY * 4 ** min(self.attempts, 10), MAX_RETRY_DELAY) * (0.8 + 0.4 * jitter)
        return replace(tried, not_before=now + max(pause, min(retry_after or timedelta(), MAX_RETRY_DELAY)))

    def requeued(self, now: datetime) -> "Delivery":
        """To be tried anew, for as long as the first time."""
        return replace(self, attempts=0, queued=now, not_before=None, parked=None)


@dataclass(frozen=True, slots=True)
class Lease:
    """Who delivers at present. One who died is replaced at `until`."""

    holder: str
    until: datetime
    name: str = "delivery"


NO_CALLER_MESSAGE = (
    "Its caller was revoked, has expired or no longer exists. Delete the webhook, or subscribe as another caller"
)
NO_SCOPE_MESSAGE = "Its caller lost the scope webhooks. Restore the scope, or delete the webhook"
NO_ACCESS_MESSAGE = "Its caller may no longer access all of its accounts. Restore the access, or delete the webhook"


def can_register(requester: Caller | None, accounts: Iterable[str]) -> bool:
    """Whether the caller who asked for a link may still have all of these accounts bound."""
    return requester is not None and requester.has_scope(Scope.REGISTER) and all(map(requester.can_access, accounts))


def can_change_accounts(requester: Caller | None) -> bool:
    """Whether a link may give an account that exists another mailbox or person, as PUT and DELETE would need it."""
    return requester is not None and requester.has_scope(Scope.ACCOUNTS_WRITE)


def can_receive_events_of(owner: Caller | None, account: str | None) -> bool:
    """Whether a webhook's owner may be told of an event; one without an account concerns every account."""
    if owner is None or not owner.has_scope(Scope.WEBHOOKS):
        return False
    return owner.binding is None if account is None else owner.can_access(account)


def withdrawal_reason(owner: Caller | None, accounts: Binding | None) -> str | None:
    """Why a webhook of these accounts gets no events, or not all of them; None while it gets what it asked for."""
    if owner is None:
        return NO_CALLER_MESSAGE
    if not owner.has_scope(Scope.WEBHOOKS):
        return NO_SCOPE_MESSAGE
    return None if owner.can_access_all_of(accounts) else NO_ACCESS_MESSAGE
