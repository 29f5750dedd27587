"""Standing callers: from the id of a caller who made something to what that caller is and may now."""

from shared.domain.caller import Caller, EntraTrust, entra_caller_id
from shared.ports import Clock
from shared.usecases import use_case
from shared.usecases.callers.identify_caller import ADMINISTRATOR
from shared.usecases.callers.known_applications import KnownApplications
from shared.usecases.callers.known_tokens import KnownTokens


@use_case
class StandingCallers:
    """Answers from memory for up to 30 seconds; a kind of caller that the settings switched off is None here.

    The administrator is a role, not a secret: what it made stands for as long as the settings hold a token for it,
    also after that token was replaced. Networks that a token is limited to are about calls, so they do not matter here.
    """

    has_administrator: bool
    tokens: KnownTokens | None
    trust: EntraTrust | None
    applications: KnownApplications
    clock: Clock

    async def __call__(self, caller_id: str) -> Caller | None:
        """The caller, or None when it is revoked, expired, or no caller any more. Raises StorageUnavailable."""
        kind, _, name = caller_id.partition(":")
        if caller_id == ADMINISTRATOR.id:
            return ADMINISTRATOR if self.has_administrator else None
        if kind == "token" and self.tokens is not None:
            token = await self.tokens.look_up(name)
            return token.current_caller(self.clock()) if token is not None else None
        if kind == "entra" and name and self.trust is not None:
            known = await self.applications.get(_with_tenant(caller_id, name, self.trust))
            return known.caller(self.trust, self.clock())
        return None


def _with_tenant(caller_id: str, client: str, trust: EntraTrust) -> str:
    """The id as it is written now. Before the tenant was part of it, `entra:{client id}` was of any trusted tenant.

    Where several are trusted, nobody can tell which one it was: then it stands as an application that never called.
    """
    if "/" in client or len(trust.tenants) != 1:
        return caller_id
    return entra_caller_id(next(iter(trust.tenants)), client)
