"""What use cases need from outside."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from shared.domain.account import Account
from shared.domain.api_token import ApiToken
from shared.domain.audit import AuditRecord
from shared.domain.caller import Caller
from shared.domain.clouds import Resource
from shared.domain.data_key import DataKey
from shared.domain.delivery import Delivery
from shared.domain.event import Event, Origin
from shared.domain.failure import Failure, MailboxRefusal
from shared.domain.grant import DelegatedGrant
from shared.domain.limit import Bucket
from shared.domain.oauth_app import OAuthApp
from shared.domain.pending_account import PendingAccount
from shared.domain.principal import Principal
from shared.domain.registered_app import RegisteredApp
from shared.domain.registration import NewestLink, PendingRegistration, SignInAttempt
from shared.domain.secret import Secret
from shared.domain.tokens import TokenSet
from shared.domain.webhook import Webhook
from shared.domain.work import Work

type Clock = Callable[[], datetime]
"""Now, in UTC."""

type Entropy = Callable[[int], bytes]
"""So many bytes that nobody can guess."""

type AuditLog = Callable[[AuditRecord], None]
"""Takes finished audit records."""

type Jitter = Callable[[], float]
"""A number in [0, 1) that spreads work."""


@dataclass(frozen=True, slots=True)
class Stored[T]:
    """A value as it was read; `version` makes writing it back conditional."""

    value: T
    version: str


type Record = DelegatedGrant | Account | PendingAccount | Event
"""What lives in a principal's partition."""


@dataclass(frozen=True, slots=True)
class Insert:
    """Write a record that must not be there yet."""

    record: Record


@dataclass(frozen=True, slots=True)
class Replace:
    """Write a record over the version that was read."""

    record: Record
    version: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete a record of the version that was read."""

    record: Record
    version: str


type Change = Insert | Replace | Remove


@dataclass(frozen=True, slots=True)
class Partition:
    """All that belongs to one principal, but for events."""

    grants: Mapping[str, Stored[DelegatedGrant]]
    accounts: Mapping[str, Stored[Account]]
    pending: Mapping[str, Stored[PendingAccount]]

    def served_by(self, app: str) -> list[Stored[Account]]:
        """The accounts that the grant of one OAuth app serves."""
        return [account for account in self.accounts.values() if account.value.app == app]


class Principals(Protocol):
    """The truth: one partition for each principal. Raises StaleWrite and StorageUnavailable."""

    async def partition(self, principal_id: str) -> Partition: ...

    async def grant(self, principal_id: str, app: str) -> Stored[DelegatedGrant] | None: ...

    async def account(self, principal_id: str, account: str) -> Stored[Account] | None: ...

    async def pending(self, principal_id: str, registration: str) -> Stored[PendingAccount] | None: ...

    async def commit(self, principal_id: str, changes: Sequence[Change]) -> Sequence[str]:
        """All of at most 100 changes to one partition, or none of them; returns each one's new version."""

    async def forget_pending(self, principal_id: str, registration: str) -> None:
        """Delete a pending account unread; one that is gone is fine."""

    def accounts(
        self, state: str | None, after: str | None, *, app: str | None = None, principal_id: str | None = None
    ) -> AsyncIterator[tuple[str, Account]]:
        """Every account, or those that fit, in a stable order, each with the cursor that continues behind it."""

    def everything(self, after: str | None) -> AsyncIterator[tuple[str, DelegatedGrant | Account]]:
        """Every grant and every account, as `accounts` does."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody is binding the account right now; void at `until`, so that a crash holds nobody up."""

    principal_id: str
    app: str
    registration: str
    until: datetime


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """Account id → principal; its insert makes an account id unique."""

    account: str
    principal_id: str | None = None
    app: str | None = None
    claim: Claim | None = None


class Rows[T](Protocol):
    """A table of single rows. Writes raise StaleWrite when the row is there already or has changed.

    Events about the row are written in the same transaction.
    """

    async def get(self, identity: str) -> Stored[T] | None: ...

    async def insert(self, value: T, news: Sequence[Event] = ()) -> Stored[T]: ...

    async def replace(self, stored: Stored[T], value: T, news: Sequence[Event] = ()) -> Stored[T]: ...

    async def remove(self, stored: Stored[T], news: Sequence[Event] = ()) -> None: ...


class Buckets(Rows[Bucket], Protocol):
    """Buckets that all instances share."""

    async def forget_empty(self, now: datetime) -> int: ...


type Directory = Rows[DirectoryEntry]


class Registrations(Rows[PendingRegistration], Protocol):
    """Invitations, and the attempts to follow them.

    `get` answers with the state `replaced` for mailboxes whose account has a newer invitation.
    """

    async def newest(self, account: str) -> NewestLink | None:
        """Which of an account's invitations counts, or None when it never had one."""

    async def make_newest(self, newest: NewestLink) -> None:
        """From here on no earlier invitation of the account counts; of two at once, the one written last stands."""

    async def attempt(self, registration: str, attempt: str) -> Stored[SignInAttempt] | None: ...

    async def add_attempt(self, attempt: SignInAttempt) -> None: ...

    async def use_attempt(self, stored: Stored[SignInAttempt]) -> None:
        """Once only: the second use raises StaleWrite."""

    async def forget(self, registration: str) -> None:
        """Delete an invitation with all its attempts; that it was the newest is forgotten too."""


class ApiTokens(Rows[ApiToken], Protocol):
    """API tokens by their ids."""

    async def all(self) -> Sequence[ApiToken]: ...


class Webhooks(Rows[Webhook], Protocol):
    """Where events go, by their ids."""

    async def all(self) -> Sequence[Webhook]: ...


class Outboxes(Protocol):
    """Events, wherever they were written with what they tell of."""

    async def read(self, origin: Origin, owner: str, event: str) -> Event | None: ...

    async def forget(self, events: Sequence[Event]) -> None:
        """Delete events; those that are gone already are fine."""


class Deliveries(Protocol):
    """Events on their way, in one partition for each webhook. Writes raise StaleWrite."""

    async def put(self, deliveries: Sequence[Delivery]) -> None:
        """Write deliveries to one webhook in their order, whatever was there; should it fail, no later one is there."""

    async def waiting(self, webhook: str, after: str | None, limit: int) -> Sequence[Stored[Delivery]]:
        """What waits, in the order of the ids, behind one of them."""

    async def parked(self, webhook: str, limit: int) -> Sequence[Stored[Delivery]]:
        """What is parked, in the order of the ids."""

    async def replace(self, stored: Stored[Delivery], delivery: Delivery) -> None:
        """Write a delivery over the version that was read, and move it to where it belongs: parked or waiting."""

    async def remove(self, stored: Stored[Delivery]) -> None: ...

    async def forget(self, webhook: str) -> None:
        """Delete all deliveries to a webhook, also those that are being changed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a target answered: an HTTP status, and for how long it asks to be left alone."""

    status: int
    retry_after: timedelta | None = None

    @property
    def good(self) -> bool:
        """Whether it took the delivery: any 2xx, and nothing else."""
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP's own numbers


class TargetRefused(Exception):
    """A target was not reached, or may not be; the message says why and holds nothing of its URL."""


class Targets(Protocol):
    """Whoever receives events. Both raise TargetRefused."""

    async def check(self, url: Secret) -> None:
        """Look where the URL leads, without calling."""

    async def send(self, webhook: Webhook, delivery: Delivery, now: datetime) -> Answer:
        """Send a delivery, signed for now."""


class EntraCallers(Protocol):
    """Applications that call with an access token of Entra's."""

    async def __call__(self, token: Secret) -> Caller:
        """Whom the token was issued to. Raises InvalidToken, and Unavailable when that cannot be found out now."""


class Agenda(Protocol):
    """What is due when, in shards."""

    @property
    def shards(self) -> Sequence[str]: ...

    async def add(self, work: Work) -> None:
        """Adding what is there already changes nothing."""

    async def remove(self, works: Sequence[Work]) -> None:
        """Remove rows of one shard; those that are gone already are fine."""

    async def holds(self, work: Work) -> bool: ...

    async def due(self, shard: str, until: datetime, after: Work | datetime | None, limit: int = 100) -> Sequence[Work]:
        """At most `limit` of what is due, oldest first, behind a row or behind all that was due by a moment."""


class ShardQueue(Protocol):
    """Hands shards to whichever instance takes them."""

    async def send(self, shard: str, due_by: datetime) -> None: ...


class DataKeys(Protocol):
    """Where wrapped data keys are kept. Writes raise StaleWrite as those of other rows do."""

    async def all(self) -> Sequence[Stored[DataKey]]:
        """Every data key, the oldest first."""

    async def add(self, data_key: DataKey) -> None: ...

    async def replace(self, stored: Stored[DataKey], data_key: DataKey) -> None: ...

    async def remove(self, stored: Stored[DataKey]) -> None: ...


class KeyWrapping(Protocol):
    """Key-encryption keys by their names: one wraps, all unwrap. Raises KeyUnavailable."""

    async def newest(self) -> str:
        """The name, with its version, of the key that wraps now."""

    async def wrap(self, data_key: bytes) -> tuple[str, bytes]:
        """The wrapped data key, behind the name of what wrapped it."""

    async def unwrap(self, wrapped_by: str, wrapped: bytes) -> bytes:
        """Raises SealBroken when that key is not known here or did not wrap this."""


class DataKeyRing(Protocol):
    """The data keys as an operator sees them."""

    async def listed(self) -> Sequence[DataKey]:
        """Every data key, the oldest first."""

    async def make(self) -> DataKey:
        """A new data key, which seals from now on; others notice within NOTICED_WITHIN."""

    async def rewrap(self) -> tuple[int, int]:
        """Wrap what an earlier key-encryption key wrapped with the present one: how many were, how many do not open."""

    async def forget(self, data_key: DataKey) -> None: ...


@dataclass(frozen=True, slots=True)
class SealedRow:
    """A row of any table that holds sealed values: data key ids by property. `place` is for people to find it by."""

    place: str
    version: str
    data_keys: Mapping[str, str]
    entity: Mapping[str, object]


class SealedRows(Protocol):
    """Everything that is sealed at rest, table by table."""

    @property
    def tables(self) -> Sequence[str]: ...

    def walk(self, table: str) -> AsyncIterator[SealedRow]: ...

    async def reseal(self, table: str, row: SealedRow) -> None:
        """Seal a row's values under the newest data key. Raises StaleWrite when it changed, SealBroken."""


class Sealer(Protocol):
    """Encryption bound to an identity: what was sealed for one does not open for another (raises SealBroken)."""

    async def seal(self, identity: str, secret: Secret) -> str: ...

    async def unseal(self, identity: str, sealed: str) -> Secret: ...


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What redeeming a code proved: who, with what tokens."""

    principal: Principal
    tokens: TokenSet


class EntraFailed(Exception):
    """The token endpoint refused or did not answer; `failure` says of which kind that is."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.code)
        self.failure = failure


class SignInInvalid(Exception):
    """What came back from the sign-in proves nothing; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class EntraSetup(Protocol):
    """Whether an OAuth app is set up as it should be, by calls that change nothing. Raises EntraFailed."""

    async def discover(self, app: OAuthApp) -> None:
        """Have the app's authority say where its endpoints are, and that it is the issuer of its tokens."""

    async def authenticate(self, app: OAuthApp) -> None:
        """Have Entra accept the client's credential, without any person."""


class Entra(Protocol):
    """Sign-in and refresh. Raises EntraFailed; `redeem` also SignInInvalid."""

    async def begin(
        self, app: OAuthApp, *, state: Secret, login_hint: str | None, claims: str | None
    ) -> tuple[str, Secret]:
        """The URL to send the browser to, and the flow to keep."""

    async def redeem(self, app: OAuthApp, flow: Secret, answer: Mapping[str, str]) -> SignedIn:
        """Who signed in, with tokens for the app's home."""

    async def refresh(
        self, app: OAuthApp, refresh_token: Secret, resource: Resource | None = None, claims: str | None = None
    ) -> TokenSet:
        """New tokens for one resource, by default the app's home; `claims` answer a claims challenge."""


@dataclass(frozen=True, slots=True)
class Person:
    """What is known of the signed-in person."""

    email: str | None
    addresses: frozenset[str]
    name: str | None


class MailboxRefused(Exception):
    """Microsoft answered, and the answer is no."""

    def __init__(self, refusal: MailboxRefusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


class MailboxUnavailable(Exception):
    """Microsoft did not answer, or asked to come back later."""


class MailboxProbe(Protocol):
    """What proves access, with a token for its resource. Raises MailboxRefused and MailboxUnavailable."""

    async def person(self, app: OAuthApp, signed_in: SignedIn) -> Person: ...

    async def open(self, app: OAuthApp, token: Secret, email: str, *, shared: bool) -> None:
        """Open the inbox of a shared mailbox, or of the person's own; nothing in it changes."""


type MailboxProbes = Mapping[Resource, MailboxProbe]
"""How mailboxes are proven by tokens for each resource."""


class OAuthApps(Protocol):
    """The OAuth apps that there are, enabled or not."""

    async def get(self, app: str) -> OAuthApp | None: ...

    async def all(self) -> Sequence[OAuthApp]: ...


class RegisteredApps(Rows[RegisteredApp], Protocol):
    """OAuth apps as they are kept; that of the settings only once it was changed."""

    async def all(self) -> Sequence[RegisteredApp]:
        """Every one, the oldest first."""
