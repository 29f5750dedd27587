"""What can come of a sign-in, as the person is told it; `principal` is whoever signed in, once that is known."""

from dataclasses import dataclass
from datetime import datetime

from shared.domain.registration import BindOutcome, PendingRegistration
from shared.usecases.carried_grant import Carried
from shared.usecases.open_link import LinkPage


@dataclass(frozen=True, slots=True)
class Completed:
    """Bound: the person goes back to the caller's page."""

    registration: PendingRegistration
    email: str
    outcome: BindOutcome
    principal: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Signed in; the mailbox is being checked again until `until`."""

    registration: PendingRegistration
    code: str
    until: datetime
    principal: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was changed.

    `again` starts over in this browser while the link works; `keep` asks to keep checking, and `finish` to go on where
    storage failed, both without a second sign-in.
    """

    code: str
    registration: PendingRegistration | None = None
    again: LinkPage | None = None
    keep: Carried | None = None
    finish: Carried | None = None
    principal: str | None = None


type Outcome = Completed | Waiting | Refused
