"""What can come of a sign-in, as the person is told it; `principal` is whoever signed in, once that is known."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.domain.invited_mailbox import MailboxResult
from shared.domain.registration import PendingRegistration
from shared.usecases.sign_in.carried_grant import Carried
from shared.usecases.sign_in.open_link import LinkPage


@dataclass(frozen=True, slots=True)
class Tried:
    """The mailboxes were tried: each is bound, refused, or being checked again until `until`.

    `results` are those of this sign-in, by account. `again` starts over in this browser for what is refused; `keep`
    asks to keep checking what does not open yet, without a second sign-in.
    """

    registration: PendingRegistration
    results: Mapping[str, MailboxResult]
    again: LinkPage | None = None
    keep: Carried | None = None
    until: datetime | None = None
    principal: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """It did not come to any mailbox. Nothing was changed.

    `again` starts over in this browser while the link works; `keep` asks to keep checking, and `finish` to go on where
    storage failed, both without a second sign-in.
    """

    code: str
    registration: PendingRegistration | None = None
    again: LinkPage | None = None
    keep: Carried | None = None
    finish: Carried | None = None
    principal: str | None = None


type Outcome = Tried | Refused
