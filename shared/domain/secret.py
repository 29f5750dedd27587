"""Secrets in memory, and the data keys that encrypt them at rest."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Never

# What answers of the API show in place of a secret.
MASK = "******"


class Secret:
    """A token, code or key. Prints as stars, and refuses to be pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself; only for the moment in which it is sealed, sent or compared."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self.reveal()

    def __hash__(self) -> int:
        return hash(self.reveal())

    def __reduce__(self) -> Never:
        raise TypeError("a secret does not leave the process")


class SealedSecret(Secret):
    """A sealed value that is opened when it is revealed, each time anew; what `opening` raises, `reveal` raises.

    `sealed` is how it lies at `place`, so that it can be written back there unopened.
    """

    __slots__ = ("_opening", "place", "sealed")

    def __init__(self, opening: Callable[[], str], place: str, sealed: str) -> None:
        self._opening = opening
        self.place = place
        self.sealed = sealed

    def reveal(self) -> str:
        """The value, opened now."""
        return self._opening()


# How long a process may go on sealing without having looked for a newer data key.
KEY_CHECK_INTERVAL = timedelta(minutes=1)
# How long a process that cannot open the newest data key may go on sealing under the one before it.
KEY_SUCCESSION_PERIOD = timedelta(minutes=10)
# A data key is deleted only this long after a newer one was made. By then no process seals with it (KEY_CHECK_INTERVAL
# and KEY_SUCCESSION_PERIOD), and the last write that did has succeeded or failed (host.json: functionTimeout, 10 min).
DATA_KEY_RETENTION = timedelta(hours=1)

FIRST_DATA_KEY_ID = "0" * 20


@dataclass(frozen=True, slots=True)
class DataKey:
    """`id` sorts by age; `wrapped_by` names the key-encryption key and its version; `wrapped` is base64."""

    id: str
    wrapped: str
    wrapped_by: str
    created: datetime


def next_data_key_id(newest: DataKey | None, at: datetime) -> str:
    """The id of the data key that is due `at` a moment: milliseconds in 12 hexadecimal digits, and 8 more.

    It follows from what was there before, so whoever makes the same key at the same time meets the other's row.
    """
    if newest is None:
        return FIRST_DATA_KEY_ID
    milliseconds = max(int(at.timestamp() * 1000), int(newest.id[:12], 16) + 1)
    return f"{milliseconds:012x}{hashlib.sha256(newest.id.encode()).hexdigest()[:8]}"


def sealing_order(keys: Sequence[DataKey], now: datetime) -> list[DataKey]:
    """The data keys that may seal, the best first, out of all of them, the oldest first."""
    allowed = [key for key, later in pairwise(keys) if now - later.created < KEY_SUCCESSION_PERIOD]
    return [*keys[-1:], *reversed(allowed)]


def deletable_keys(keys: Sequence[DataKey], now: datetime) -> list[DataKey]:
    """The data keys that nobody seals under any more, out of all of them, the oldest first."""
    return [key for key, later in pairwise(keys) if now - later.created >= DATA_KEY_RETENTION]


def xoauth2(user: str, token: Secret) -> Secret:
    """The client's initial response before its encoding: `user=…^Aauth=Bearer …^A^A`.

    Exchange: "Authenticate an IMAP, POP or SMTP connection using OAuth", SASL XOAUTH2.
    """
    return Secret(f"user={user}\x01auth=Bearer {token.reveal()}\x01\x01")
