"""The conditions that the control endpoint has put the tenant under: faults, latency, outages, token lifetimes."""

from dataclasses import dataclass, field
from typing import Any, Literal

Outage = Literal["503", "hang", "html", "reset"]
ACCESS_TOKEN_SECONDS = 75 * 60  # the mean of a random 60 to 90 minutes (entra-docs access-tokens.md)


@dataclass(slots=True, kw_only=True)
class Fault:
    """The next `times` calls of an endpoint fail this way; `person` (object id) and `grant` narrow it."""

    endpoint: str
    failure: str
    times: int
    person: str | None = None
    grant: str | None = None
    retry_after: int | None = None

    def meets(self, endpoint: str, person: str | None, grant: str | None) -> bool:
        """Whether this call is one of those that fail."""
        return self.endpoint == endpoint and self.person in (None, person) and self.grant in (None, grant)


@dataclass(slots=True, kw_only=True)
class OtherClaims:
    """Claims that replace those of the next `times` tokens of a kind; null takes one away."""

    claims: dict[str, Any]
    times: int


@dataclass(slots=True)
class TokenClaims:
    """What the next tokens of a kind say differently."""

    waiting: list[OtherClaims] = field(default_factory=list)

    def next(self) -> dict[str, Any]:
        """What the next token says differently; it counts as said."""
        if not self.waiting:
            return {}
        first = self.waiting[0]
        first.times -= 1
        self.waiting = [each for each in self.waiting if each.times > 0]
        return first.claims


@dataclass(slots=True)
class Conditions:
    """Everything that control can set and reset. Latency is in seconds, by endpoint or `all`."""

    access_token_seconds: int = ACCESS_TOKEN_SECONDS
    clock_ahead: float = 0.0
    faults: list[Fault] = field(default_factory=list)
    id_token_claims: TokenClaims = field(default_factory=TokenClaims)
    app_token_claims: TokenClaims = field(default_factory=TokenClaims)
    access_token_claims: TokenClaims = field(default_factory=TokenClaims)
    latency: dict[str, float] = field(default_factory=dict)
    outages: dict[str, Outage] = field(default_factory=dict)

    def next_fault(self, endpoint: str, *, person: str | None = None, grant: str | None = None) -> Fault | None:
        """The fault that this call meets, if any; it counts as met."""
        fault = next((each for each in self.faults if each.meets(endpoint, person, grant)), None)
        if fault:
            fault.times -= 1
            self.faults = [each for each in self.faults if each.times > 0]
        return fault
