"""Answers of Entra that storage did not take, kept by this process, so that Entra is not asked for them again."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.grant import DelegatedGrant
from shared.domain.principal import MIN_HAND_OUT_LIFETIME, TokenSet
from shared.domain.renewal import RefreshAnswer, TokenRequest, grant_after_refresh
from shared.domain.ttl_cache import TTLCache

# Each entry is two tokens of at most some 100 KB.
MAX_ENTRIES = 100
WRITE_AGAIN_AFTER = timedelta(minutes=1)
FAILURE_LIFETIME = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Answered:
    """What Entra said `at` a time, and when it was last tried to be stored."""

    answer: RefreshAnswer
    at: datetime
    tried: datetime

    def waits(self, now: datetime) -> bool:
        """Whether it is too early to try to store it once more."""
        return timedelta() <= now - self.tried < WRITE_AGAIN_AFTER

    def applied(self, grant: DelegatedGrant, wish: TokenRequest, jitter: float, *, hand_out: bool) -> DelegatedGrant:
        """The grant after the answer, and after the hand-out if somebody waits for the token."""
        after = grant_after_refresh(grant, wish, self.answer, self.at, jitter)
        return after.with_hand_out(self.at, jitter, wish.resource) if hand_out and self.answer.is_complete else after


@dataclass(slots=True)
class UnwrittenAnswers:
    """The newest ones. An answer to claims is for one call and is not kept."""

    _kept: TTLCache[Answered] = field(default_factory=lambda: TTLCache(MAX_ENTRIES))

    def keep(self, grant: DelegatedGrant, wish: TokenRequest, answered: Answered) -> None:
        """Keep tokens for as long as they may be handed out, and a refusal for minutes."""
        if wish.claims is not None:
            return
        tokens = answered.answer.result
        until = (
            tokens.expires - MIN_HAND_OUT_LIFETIME if isinstance(tokens, TokenSet) else answered.at + FAILURE_LIFETIME
        )
        self._kept.put(_name(grant, wish), answered, answered.at, until)

    def recall(self, grant: DelegatedGrant, wish: TokenRequest, now: datetime) -> Answered | None:
        """The answer for this wish, unless the grant has got newer tokens since."""
        answered = self._kept.get(_name(grant, wish), now) if wish.claims is None else None
        return answered if answered is not None and grant.last_refreshed <= answered.at else None

    def forget(self, grant: DelegatedGrant, wish: TokenRequest) -> None:
        """It is stored."""
        self._kept.discard(_name(grant, wish))


def _name(grant: DelegatedGrant, wish: TokenRequest) -> str:
    return f"{grant.principal.id}|{grant.app}|{wish.resource or grant.resource}"
