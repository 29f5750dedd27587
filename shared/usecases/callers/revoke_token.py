"""Revoke an API token."""

import logging

from shared.domain.caller import TOKEN_ID_PATTERN, Caller, Scope
from shared.domain.errors import Conflict, StaleWrite
from shared.domain.identity import fingerprint
from shared.ports import ApiTokens
from shared.usecases import use_case
from shared.usecases.callers.known_tokens import KnownTokens

log = logging.getLogger(__name__)

TRIES = 8


@use_case
class RevokeToken:
    """It stops at once here, and on every other instance when they no longer trust what they have read."""

    tokens: ApiTokens
    known: KnownTokens

    async def __call__(self, named: str, revoker: Caller) -> str | None:
        """Revoke a token by its id, or by itself; returns its id, None when there is none.

        Raises Forbidden and Conflict.
        """
        revoker.require_scope(Scope.ADMIN)
        revoker.require_all_accounts()
        if not TOKEN_ID_PATTERN.fullmatch(named):
            return None
        return await self._revoke(named, revoker) or await self._revoke(fingerprint(named), revoker)

    async def _revoke(self, token_id: str, revoker: Caller) -> str | None:
        for _ in range(TRIES):
            stored = await self.tokens.get(token_id)
            if stored is None:
                return None
            try:
                await self.tokens.remove(stored)
            except StaleWrite:
                continue  # its last use was noted meanwhile, or somebody else revokes it too
            self.known.forget(token_id)
            log.info("api token revoked", extra={"token": token_id, "by": revoker.id})
            return token_id
        raise Conflict("The token is being changed by others; try again")
