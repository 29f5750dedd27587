"""Identify a caller by the bearer token that they show."""

import hmac

from shared.domain.caller import TOKEN_ID_PATTERN, Address, Caller, Scope
from shared.domain.errors import InvalidToken
from shared.domain.identity import fingerprint
from shared.domain.secret import Secret
from shared.ports import Clock, EntraCallers
from shared.usecases import use_case
from shared.usecases.callers.known_tokens import KnownTokens

LONGEST = 16 * 1024  # front ends let no longer header through
JWT_DOTS = 2
BAD = "Bad token"

ADMINISTRATOR = Caller("administrator", "administrator", frozenset({Scope.ADMIN}))


@use_case
class IdentifyCaller:
    """Knows the administrator's token of the settings, API tokens, and Entra's; a kind that is off is None.

    Secrets are compared by their SHA-256 only: how far two of those agree tells nothing about a secret, and the
    administrator's is compared in constant time besides.
    """

    admin_token_sha256: str | None
    tokens: KnownTokens | None
    entra: EntraCallers | None
    clock: Clock

    async def __call__(self, bearer: Secret, address: Address | None) -> Caller:
        """Who shows this token from that address. Raises InvalidToken, Forbidden and Unavailable."""
        text = bearer.reveal()
        if not text.isascii() or len(text) > LONGEST:
            raise InvalidToken(BAD)
        shown = fingerprint(text)
        if self.admin_token_sha256 and hmac.compare_digest(shown, self.admin_token_sha256):
            return ADMINISTRATOR
        if self.entra is not None and text.count(".") == JWT_DOTS:
            return await self.entra(bearer)
        token = await self.tokens.get(shown) if self.tokens is not None and TOKEN_ID_PATTERN.fullmatch(text) else None
        if token is None:
            raise InvalidToken(BAD)
        return token.caller(self.clock(), address)
