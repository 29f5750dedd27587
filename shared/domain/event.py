"""Things that happened, kept beside what they happened to until they are delivered or too old."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

KEPT = timedelta(days=3)


class EventName(StrEnum):
    """Names that callers of EmailEngine know, and `connectSuccess` and `registrationFailed`, which it lacks."""

    ACCOUNT_ADDED = "accountAdded"
    ACCOUNT_INITIALIZED = "accountInitialized"
    ACCOUNT_DELETED = "accountDeleted"
    AUTHENTICATION_ERROR = "authenticationError"
    AUTHENTICATION_SUCCESS = "authenticationSuccess"
    CONNECT_ERROR = "connectError"
    CONNECT_SUCCESS = "connectSuccess"
    REGISTRATION_FAILED = "registrationFailed"


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the outbox. `id` sorts by time."""

    id: str
    principal_id: str
    name: EventName
    account: str
    at: datetime
    code: str | None = None
