"""Audit records (who did what to which object, and the outcome), and the correlation id of a request."""

import uuid
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class Action(StrEnum):
    """An audited action: one for each route, and one for a resumed sign-in."""

    START_REGISTRATION = "registration.start"
    READ_REGISTRATION = "registration.read"
    CANCEL_REGISTRATION = "registration.cancel"
    OPEN_LINK = "link.open"
    CONTINUE_SIGN_IN = "sign-in.continue"
    FINISH_SIGN_IN = "sign-in.finish"
    RESUME_SIGN_IN = "sign-in.resume"
    HAND_OUT = "access-token.hand-out"
    USE_MAILBOX = "mailbox.use"
    LIST_ACCOUNTS = "accounts.list"
    READ_ACCOUNT = "account.read"
    CHANGE_ACCOUNT = "account.change"
    REAUTHORIZE_ACCOUNT = "account.reauthorize"
    REMOVE_ACCOUNT = "account.remove"
    ADD_ACCOUNT = "account.add"
    RECONNECT_ACCOUNT = "account.reconnect"
    ISSUE_TOKEN = "api-token.issue"  # noqa: S105 - the name of an action
    LIST_TOKENS = "api-tokens.list"
    REVOKE_TOKEN = "api-token.revoke"  # noqa: S105 - the name of an action
    LIST_APPS = "oauth-apps.list"
    READ_APP = "oauth-app.read"
    REGISTER_APP = "oauth-app.register"
    CHANGE_APP = "oauth-app.change"
    DELETE_APP = "oauth-app.delete"
    VERIFY_APP = "oauth-app.verify"
    READ_STATISTICS = "statistics.read"
    READ_SETTINGS = "settings.read"
    CHANGE_SETTINGS = "settings.change"
    CREATE_WEBHOOK = "webhook.create"
    LIST_WEBHOOKS = "webhooks.list"
    READ_WEBHOOK = "webhook.read"
    REMOVE_WEBHOOK = "webhook.remove"
    PING_WEBHOOK = "webhook.ping"
    REDELIVER = "webhook.redeliver"


class AuditOutcome(StrEnum):
    """The outcome of an action. `failed` is a fault of Mailbind."""

    DONE = "done"
    WAITING = "waiting"
    REFUSED = "refused"
    FAILED = "failed"


# Successful reads are not logged, because they change nothing; refused reads are.
READ_ACTIONS = frozenset(
    {
        Action.READ_REGISTRATION,
        Action.LIST_ACCOUNTS,
        Action.READ_ACCOUNT,
        Action.LIST_TOKENS,
        Action.LIST_APPS,
        Action.READ_APP,
        Action.READ_STATISTICS,
        Action.READ_SETTINGS,
        Action.LIST_WEBHOOKS,
        Action.READ_WEBHOOK,
    }
)

# Anybody can cause these refusals as fast as they can send requests, so only some of them are logged.
SAMPLED_CODES = frozenset(
    {"TooManyRequests", "BodyTooLarge", "UriTooLong", "HeadersTooLarge", "UnsupportedMediaType", "LengthRequired"}
)
SAMPLING_INTERVAL = timedelta(seconds=10)
MAX_SAMPLED_KINDS = 1000  # a kind of refusal is an action, a code and an actor
MAX_ID_CHARACTERS = 256  # Mailbind's ids are shorter; a longer one was made up by the request


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One line of the audit log. It holds no personal data besides ids.

    `actor` is a caller's id, `person:` with a principal's id, or `unknown`. `accounts` are set for a link to several
    accounts, and `results` has the result of each: a state, or the code of why it is not bound. `target` is the
    registration, API token, OAuth app or webhook of the action. `resource` is the OAuth app of a handed-out token, and
    `cached` says that Entra was not called for it. `hand_out` is what a request said about handing out tokens.
    `operation` is what was done in a mailbox: the row of a confined call in the table of operations, or the function
    that answered, never an id; `status` is the HTTP status of its answer, and `duration_ms` how long it took.
    `messages` is how many messages a bulk operation has changed. `correlation` joins the records of one request.
    `left_out` is how many refusals with the same action, code and actor this instance did not log since its last record
    of them.
    """

    action: Action
    outcome: AuditOutcome
    correlation: str
    actor: str = "unknown"
    account: str | None = None
    accounts: tuple[str, ...] | None = None
    results: Mapping[str, str] | None = None
    target: str | None = None
    resource: str | None = None
    cached: bool | None = None
    operation: str | None = None
    status: int | None = None
    duration_ms: int | None = None
    messages: int | None = None
    hand_out: bool | None = None
    code: str | None = None
    left_out: int | None = None

    @property
    def is_logged(self) -> bool:
        """Whether it has to be logged: everything but a successful read."""
        return self.outcome is not AuditOutcome.DONE or self.action not in READ_ACTIONS

    def truncated(self) -> "AuditRecord":
        """The record with ids of limited length, however long the names in the request were."""
        texts = {name: getattr(self, name) for name in ("actor", "account", "target", "resource", "code")}
        long = {
            name: text[:MAX_ID_CHARACTERS] for name, text in texts.items() if text and len(text) > MAX_ID_CHARACTERS
        }
        if self.accounts and any(len(account) > MAX_ID_CHARACTERS for account in self.accounts):
            long["accounts"] = tuple(account[:MAX_ID_CHARACTERS] for account in self.accounts)
        return replace(self, **long) if long else self


class Sample:
    """When a refusal was last logged, and how many were left out since."""

    def __init__(self, recorded: datetime) -> None:
        self.recorded = recorded
        self.left_out = 0


class AuditSampler:
    """Logs the first refusal of a kind in ten seconds, and with the next one how many were left out."""

    def __init__(self) -> None:
        self._samples: dict[tuple[Action, str, str], Sample] = {}

    def sampled(self, record: AuditRecord, now: datetime) -> AuditRecord | None:
        """The record to log, or None to leave it out."""
        if record.code not in SAMPLED_CODES:
            return record
        kind = (record.action, record.code, record.actor)
        sample = self._samples.get(kind)
        if sample is not None and timedelta() <= now - sample.recorded < SAMPLING_INTERVAL:
            sample.left_out += 1
            return None
        self._samples.pop(kind, None)
        self._samples[kind] = Sample(now)
        if len(self._samples) > MAX_SAMPLED_KINDS:
            del self._samples[next(iter(self._samples))]
        return replace(record, left_out=sample.left_out) if sample and sample.left_out else record


# Log lines, events and calls to Microsoft carry this id, which joins everything that one request or timer run causes.
# It is the only value that is not passed as an argument, and no decision depends on it. A sign-in continues under the
# id of the request that asked for its link.
_current_id: ContextVar[str | None] = ContextVar("correlation", default=None)


def correlation_id() -> str | None:
    """The id of the present request or timer run, or None."""
    return _current_id.get()


def set_correlation_id(identity: str | None) -> None:
    """Set the id for this task and for the tasks that it starts. None changes nothing."""
    if identity is not None:
        _current_id.set(identity)


def client_request_id_header() -> dict[str, str]:
    """The header that identifies a call in Microsoft's logs and errors; `client-request-id` must be a GUID.

    A correlation id of 32 hexadecimal digits is one. From any other id a GUID is derived (RFC 9562 section 5.5, URL
    namespace).
    """
    identity = correlation_id()
    if identity is None:
        return {}
    try:
        return {"client-request-id": str(uuid.UUID(identity))}
    except ValueError:
        return {"client-request-id": str(uuid.uuid5(uuid.NAMESPACE_URL, identity))}
