"""Limit requests: in this process at once, and over all instances within seconds."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.errors import MailbindError, StaleWrite, TooManyRequests
from shared.domain.identity import fingerprint, keyed_fingerprint
from shared.domain.limit import Bucket, LimitKind, LimitSalt, Rate
from shared.domain.secret import Secret
from shared.ports import Buckets, Clock, Entropy, Rows

log = logging.getLogger(__name__)

MOST = 10_000  # buckets in memory; the one that was not used for longest goes first
AT_ONCE = 32  # buckets being shared
EVERY = timedelta(seconds=5)
REST = timedelta(seconds=10)
PARTS = 8
TRIES = 4


@dataclass(slots=True)
class LocalBucket:
    """A bucket as this instance knows it, with the drops that the others have not been told of."""

    empty_at: datetime
    untold: int = 0
    told_at: datetime | None = None
    telling: bool = False
    overflowed: bool = False


@dataclass(slots=True)
class LimitRequests:
    """Nobody waits for storage: the answer comes from memory, and what was counted is exchanged behind it.

    An instance tells the others at its first request of a key, and then after every eighth part of what is allowed, or
    five seconds. So the instances together let through little more than one may: what each lets pass before storage has
    answered, the whole of it at most. A flood costs a few writes a minute. While storage is down, each instance holds
    the limit by itself.
    """

    rates: Mapping[LimitKind, int]
    buckets: Buckets
    salts: Rows[LimitSalt]
    clock: Clock
    entropy: Entropy
    _known: OrderedDict[str, LocalBucket] = field(default_factory=OrderedDict)
    _exchanges: set[asyncio.Task[None]] = field(default_factory=set)
    _resting_until: datetime | None = None
    _salt: LimitSalt | None = None

    def __call__(self, kind: LimitKind, who: str, drops: int = 1) -> None:
        """Count a request that weighs as much as some, or raise TooManyRequests with the time after which it passes."""
        rate, now = Rate(self.rates[kind]), self.clock()
        bucket = self._bucket(kind, who, now)
        wait = rate.wait_time(bucket.empty_at, now, drops)
        if wait:
            if not bucket.overflowed:
                log.warning("requests limited", extra={"kind": kind})
            bucket.overflowed = True
            raise TooManyRequests(wait)
        bucket.overflowed = False
        bucket.empty_at = rate.after_requests(bucket.empty_at, drops, now)
        bucket.untold += drops
        if self._is_time(bucket, rate, now):
            bucket.telling, bucket.told_at = True, now
            exchange = asyncio.create_task(self._exchange(f"{kind}|{who}", bucket, rate))
            self._exchanges.add(exchange)
            exchange.add_done_callback(self._exchanges.discard)

    def __len__(self) -> int:
        """How many buckets are in memory."""
        return len(self._known)

    async def settled(self) -> None:
        """Wait until the others know what they are being told."""
        while self._exchanges:
            await asyncio.wait(self._exchanges)

    async def forget(self, until: datetime) -> int:
        """Delete what storage holds of buckets that are empty by now, while there is time; how many there were."""
        forgotten = 0
        while (some := await self.buckets.forget_empty(self.clock())) and self.clock() < until:
            forgotten += some
        return forgotten + some

    def _bucket(self, kind: LimitKind, who: str, now: datetime) -> LocalBucket:
        name = fingerprint(f"{kind}|{who}")  # of the same size for everybody
        bucket = self._known.setdefault(name, LocalBucket(now))
        self._known.move_to_end(name)
        if len(self._known) > MOST:
            self._known.popitem(last=False)
        return bucket

    def _is_time(self, bucket: LocalBucket, rate: Rate, now: datetime) -> bool:
        if bucket.telling or len(self._exchanges) >= AT_ONCE:
            return False
        if self._resting_until is not None and now < self._resting_until:
            return False
        enough = bucket.untold >= max(rate.per_minute // PARTS, 1)
        return bucket.told_at is None or enough or now >= bucket.told_at + EVERY

    async def _exchange(self, identity: str, bucket: LocalBucket, rate: Rate) -> None:
        drops, bucket.untold = bucket.untold, 0
        try:
            everybodys = await self._fill(keyed_fingerprint(identity, await self._todays_salt()), drops, rate)
            mine = rate.after_requests(everybodys, bucket.untold, self.clock())
            bucket.empty_at = max(bucket.empty_at, mine)
        except (MailbindError, StaleWrite) as error:
            bucket.untold += drops
            self._resting_until = self.clock() + REST
            log.warning("limits not shared", extra={"reason": type(error).__name__})
        finally:
            bucket.telling = False

    async def _fill(self, row: str, drops: int, rate: Rate) -> datetime:
        for _ in range(TRIES):
            stored, now = await self.buckets.get(row), self.clock()
            filled = Bucket(row, rate.after_requests(stored.value.empty_at if stored else now, drops, now))
            try:
                await (self.buckets.replace(stored, filled) if stored else self.buckets.insert(filled))
            except StaleWrite:
                continue
            return filled.empty_at
        raise StaleWrite

    async def _todays_salt(self) -> Secret:
        now = self.clock()
        if self._salt is None or self._salt.day != f"{now:%Y-%m-%d}":
            self._salt = await self._find_salt(f"{now:%Y-%m-%d}", now)
        return self._salt.value

    async def _find_salt(self, day: str, now: datetime) -> LimitSalt:
        stored = await self.salts.get(day)
        if stored is None:
            fresh = LimitSalt(day, Secret(self.entropy(32).hex()), now + timedelta(days=2))
            try:
                stored = await self.salts.insert(fresh)
            except StaleWrite:  # another instance was faster
                return await self._find_salt(day, now)
        return stored.value
