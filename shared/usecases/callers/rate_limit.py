"""Rate limits: requests are counted in memory, and shared among all instances within seconds."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.errors import MailbindError, TooManyRequests
from shared.domain.formats import fingerprint, keyed_fingerprint
from shared.domain.limit import Bucket, LimitKind, LimitSalt, Rate
from shared.domain.secret import Secret
from shared.ports import Buckets, Clock, Entropy, Rows

log = logging.getLogger(__name__)

MAX_BUCKETS = 10_000  # in memory; the least recently used bucket is dropped first
MAX_CONCURRENT_EXCHANGES = 32
EXCHANGE_INTERVAL = timedelta(seconds=5)
PAUSE_AFTER_FAILURE = timedelta(seconds=10)
EXCHANGES_PER_MINUTE = 8


@dataclass(slots=True)
class LocalBucket:
    """This instance's view of a bucket, with the drops that are not shared yet."""

    empty_at: datetime
    unshared: int = 0
    shared_at: datetime | None = None
    sharing: bool = False
    overflowed: bool = False


@dataclass(slots=True)
class SharedRateLimit:
    """Rate limits that are decided in memory. Instances exchange their counts through storage in the background.

    An instance shares its count at the first request of a key, then after each eighth of the rate or five seconds. All
    instances together exceed the rate by at most what each counts before storage answers. A flood costs a few writes a
    minute. While storage is down, each instance applies the limit alone.
    """

    rates: Mapping[LimitKind, int]
    buckets: Buckets
    salts: Rows[LimitSalt]
    clock: Clock
    entropy: Entropy
    _known: OrderedDict[str, LocalBucket] = field(default_factory=OrderedDict)
    _exchanges: set[asyncio.Task[None]] = field(default_factory=set)
    _paused_until: datetime | None = None
    _salt: LimitSalt | None = None

    def count(self, kind: LimitKind, who: str, drops: int = 1) -> None:
        """Count a request of that weight. Raises TooManyRequests with the time after which it would pass."""
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
        bucket.unshared += drops
        if self._should_exchange(bucket, rate, now):
            bucket.sharing, bucket.shared_at = True, now
            exchange = asyncio.create_task(self._exchange(f"{kind}|{who}", bucket, rate))
            self._exchanges.add(exchange)
            exchange.add_done_callback(self._exchanges.discard)

    def __len__(self) -> int:
        """The number of buckets in memory."""
        return len(self._known)

    async def flush(self) -> None:
        """Wait for exchanges in progress."""
        while self._exchanges:
            await asyncio.wait(self._exchanges)

    async def forget(self, until: datetime) -> int:
        """Delete stored buckets that are empty, until the time is up. Returns how many."""
        total = 0
        while (deleted := await self.buckets.forget_empty(self.clock())) and self.clock() < until:
            total += deleted
        return total + deleted

    def _bucket(self, kind: LimitKind, who: str, now: datetime) -> LocalBucket:
        name = fingerprint(f"{kind}|{who}")  # of the same length for every caller
        bucket = self._known.setdefault(name, LocalBucket(now))
        self._known.move_to_end(name)
        if len(self._known) > MAX_BUCKETS:
            self._known.popitem(last=False)
        return bucket

    def _should_exchange(self, bucket: LocalBucket, rate: Rate, now: datetime) -> bool:
        if bucket.sharing or len(self._exchanges) >= MAX_CONCURRENT_EXCHANGES:
            return False
        if self._paused_until is not None and now < self._paused_until:
            return False
        enough = bucket.unshared >= max(rate.per_minute // EXCHANGES_PER_MINUTE, 1)
        return bucket.shared_at is None or enough or now >= bucket.shared_at + EXCHANGE_INTERVAL

    async def _exchange(self, identity: str, bucket: LocalBucket, rate: Rate) -> None:
        drops, bucket.unshared = bucket.unshared, 0
        try:
            shared = await self._fill(keyed_fingerprint(identity, await self._salt_of_today()), drops, rate)
            with_unshared = rate.after_requests(shared, bucket.unshared, self.clock())
            bucket.empty_at = max(bucket.empty_at, with_unshared)
        except MailbindError as error:
            bucket.unshared += drops
            self._paused_until = self.clock() + PAUSE_AFTER_FAILURE
            log.warning("limits not shared", extra={"reason": type(error).__name__})
        finally:
            bucket.sharing = False

    async def _fill(self, row: str, drops: int, rate: Rate) -> datetime:
        def fill(bucket: Bucket | None) -> Bucket:
            now = self.clock()
            return Bucket(row, rate.after_requests(bucket.empty_at if bucket else now, drops, now))

        return (await self.buckets.update(row, fill)).empty_at

    async def _salt_of_today(self) -> Secret:
        now = self.clock()
        today = f"{now:%Y-%m-%d}"
        if self._salt is None or self._salt.day != today:
            new_salt = LimitSalt(today, Secret(self.entropy(32).hex()), now + timedelta(days=2))
            self._salt = await self.salts.update(today, lambda stored: stored or new_salt)
        return self._salt.value
