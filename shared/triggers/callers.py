"""Who may call: the bearer check of every /v1 route."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps

import azure.functions as func

from shared.domain.errors import Unauthorized
from shared.domain.keys import fingerprint
from shared.triggers.answers import Handler, with_problems
from shared.triggers.request_limits import RequestLimits

ADMIN = "administrator"


@dataclass(frozen=True, slots=True)
class Callers:
    """Knows callers by the SHA-256 of their API token."""

    admin_token_sha256: str
    limits: RequestLimits

    def caller(self, req: func.HttpRequest) -> str:
        """The caller's name. Raises Unauthorized (RFC 6750 section 3.1)."""
        scheme, _, token = req.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthorized("Missing authentication")
        if not hmac.compare_digest(fingerprint(token.strip()), self.admin_token_sha256):
            raise Unauthorized("Bad token")
        return ADMIN


def for_callers(callers: Callers) -> Callable[[Handler], Handler]:
    """Let known callers in, and answer refusals with the error envelope."""

    def decorate(handler: Handler) -> Handler:
        @wraps(handler)
        async def checked(req: func.HttpRequest) -> func.HttpResponse:
            try:
                callers.caller(req)
            except Unauthorized:
                callers.limits.bad_token(req)
                raise
            return await handler(req)

        return with_problems(checked)

    return decorate
