"""Secrets in memory, and the data keys that encrypt them at rest."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Never

# What the API answers in place of a secret.
MASK = "******"


class Secret:
    """A token, code or key. It prints as stars and cannot be pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself. Call this only to seal, send or compare it."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self.reveal()

    def __hash__(self) -> int:
        return hash(self.reveal())

    def __reduce__(self) -> Never:
        raise TypeError("a secret must not leave the process")


class SealedSecret(Secret):
    """A sealed value that is decrypted each time it is revealed. `reveal` raises what `unseal` raises.

    `sealed` is the encrypted value as stored at `place`, so that it can be written back there without decrypting it.
    """

    __slots__ = ("_unseal", "place", "sealed")

    def __init__(self, unseal: Callable[[], str], place: str, sealed: str) -> None:
        self._unseal = unseal
        self.place = place
        self.sealed = sealed

    def reveal(self) -> str:
        """The value, decrypted now."""
        return self._unseal()


# How long a process may seal without checking for a newer data key.
KEY_CHECK_INTERVAL = timedelta(minutes=1)
# How long a process that cannot unwrap the newest data key may seal with the one before it.
KEY_SUCCESSION_PERIOD = timedelta(minutes=10)
# A data key is deleted only this long after a newer one was made. By then no process seals with it (KEY_CHECK_INTERVAL
# and KEY_SUCCESSION_PERIOD), and the last write that did has succeeded or failed (host.json: functionTimeout, 10 min).
DATA_KEY_RETENTION = timedelta(hours=1)

FIRST_DATA_KEY_ID = "0" * 20


@dataclass(frozen=True, slots=True)
class DataKey:
    """A data key. `wrapped` is base64, `wrapped_by` names the key-encryption key and its version. Ids sort by age."""

    id: str
    wrapped: str
    wrapped_by: str
    created: datetime


def next_data_key_id(newest: DataKey | None, at: datetime) -> str:
    """The id of the data key that follows at this time: milliseconds in 12 hexadecimal digits, and 8 more.

    It is derived from the newest key, so that two processes that create the same key at the same time use the same row.
    """
    if newest is None:
        return FIRST_DATA_KEY_ID
    milliseconds = max(int(at.timestamp() * 1000), int(newest.id[:12], 16) + 1)
    return f"{milliseconds:012x}{hashlib.sha256(newest.id.encode()).hexdigest()[:8]}"


def sealing_order(keys: Sequence[DataKey], now: datetime) -> list[DataKey]:
    """The data keys that may seal, best first. `keys` are all data keys, oldest first."""
    allowed = [key for key, later in pairwise(keys) if now - later.created < KEY_SUCCESSION_PERIOD]
    return [*keys[-1:], *reversed(allowed)]


def deletable_keys(keys: Sequence[DataKey], now: datetime) -> list[DataKey]:
    """The data keys that no process seals with any more. `keys` are all data keys, oldest first."""
    return [key for key, later in pairwise(keys) if now - later.created >= DATA_KEY_RETENTION]


def xoauth2(user: str, token: Secret) -> Secret:
    """The initial client response before its encoding: `user=…^Aauth=Bearer …^A^A`.

    Exchange: "Authenticate an IMAP, POP or SMTP connection using OAuth", SASL XOAUTH2.
    """
    return Secret(f"user={user}\x01auth=Bearer {token.reveal()}\x01\x01")
