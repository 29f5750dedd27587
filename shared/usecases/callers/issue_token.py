"""Issue an API token."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.domain.caller import ApiToken, Binding, Caller, Scope
from shared.domain.errors import InvalidInput
from shared.domain.identity import fingerprint
from shared.domain.secret import Secret
from shared.ports import ApiTokens, Clock, Entropy
from shared.usecases import use_case

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TokenWish:
    """What an administrator asks for; see ApiToken."""

    description: str
    scopes: frozenset[Scope]
    binding: Binding | None = None
    addresses: tuple[str, ...] = ()
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """A new token, shown this once."""

    token: Secret
    id: str


@use_case
class IssueToken:
    """Only who holds every scope and reaches every account issues tokens: none is worth more than its issuer."""

    tokens: ApiTokens
    clock: Clock
    entropy: Entropy

    async def __call__(self, wish: TokenWish, faults: Mapping[str, str], issuer: Caller) -> Issued:
        """Issue a token. `faults` were found in reading the wish. Raises InvalidInput with all, and Forbidden."""
        issuer.require_scope(Scope.ADMIN)
        issuer.require_all_accounts()
        faults = {**self._faults(wish), **faults}
        if faults:
            raise InvalidInput(faults)
        token = Secret(self.entropy(32).hex())
        kept = ApiToken(
            id=fingerprint(token),
            description=wish.description,
            scopes=wish.scopes,
            created=self.clock(),
            created_by=issuer.id,
            binding=wish.binding,
            addresses=wish.addresses,
            expires=wish.expires,
        )
        await self.tokens.insert(kept)
        log.info("api token issued", extra={"token": kept.id, "by": issuer.id})
        return Issued(token, kept.id)

    def _faults(self, wish: TokenWish) -> dict[str, str]:
        faults = {}
        if wish.expires is not None and wish.expires <= self.clock():
            faults["expires"] = '"expires" must be in the future'
        if wish.binding is not None and Scope.ADMIN in wish.scopes:
            faults["scopes"] = '"scopes" must not hold admin for a token that is bound to accounts'
        return faults
