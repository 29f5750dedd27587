"""Who calls: API tokens and limits."""

from functools import cached_property

from shared.connections import Connections
from shared.usecases.callers.identify_caller import IdentifyCaller
from shared.usecases.callers.issue_token import IssueToken
from shared.usecases.callers.known_tokens import KnownTokens
from shared.usecases.callers.limit_requests import LimitRequests
from shared.usecases.callers.revoke_token import RevokeToken
from shared.usecases.callers.standing_callers import StandingCallers


class CallerServices(Connections):
    """Built bit by bit, as the connections are."""

    @cached_property
    def known_tokens(self) -> KnownTokens:
        return KnownTokens(self.api_tokens, self.clock)

    @cached_property
    def identify_caller(self) -> IdentifyCaller:
        settings = self.settings
        tokens = self.known_tokens if settings.token_callers else None
        admin = settings.admin_token_sha256 if settings.token_callers else None
        return IdentifyCaller(admin, tokens, self.entra_callers, self.clock)

    @cached_property
    def standing_callers(self) -> StandingCallers:
        settings = self.settings
        return StandingCallers(
            settings.token_callers and bool(settings.admin_token_sha256),
            self.known_tokens if settings.token_callers else None,
            settings.entra_trust,
            self.known_applications,
            self.clock,
        )

    @cached_property
    def issue_token(self) -> IssueToken:
        return IssueToken(self.api_tokens, self.clock, self.entropy)

    @cached_property
    def revoke_token(self) -> RevokeToken:
        return RevokeToken(self.api_tokens, self.known_tokens)

    @cached_property
    def limit_requests(self) -> LimitRequests:
        return LimitRequests(self.settings.limits, self.buckets, self.limit_salts, self.clock, self.entropy)
