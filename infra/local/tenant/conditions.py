"""Conditions that the control endpoint sets: faults, latency, outages, token lifetimes, the clock."""

from dataclasses import dataclass, field
from typing import Any, Literal

Outage = Literal["503", "hang", "html", "reset"]
# The mean of the random lifetime of 60 to 90 minutes.
# https://learn.microsoft.com/entra/identity-platform/access-tokens#token-lifetime
ACCESS_TOKEN_SECONDS = 75 * 60


@dataclass(slots=True, kw_only=True)
class Fault:
    """The next `times` calls of an endpoint fail; `person` (object id) and `grant` limit it to some calls."""

    endpoint: str
    failure: str
    times: int
    person: str | None = None
    grant: str | None = None
    retry_after: int | None = None

    def applies_to(self, endpoint: str, person: str | None, grant: str | None) -> bool:
        """Whether this call fails."""
        return self.endpoint == endpoint and self.person in (None, person) and self.grant in (None, grant)


@dataclass(slots=True, kw_only=True)
class ClaimOverrides:
    """Claims that replace those of the next `times` tokens of a kind; null removes a claim."""

    claims: dict[str, Any]
    times: int


@dataclass(slots=True)
class OverrideQueue:
    """Claim overrides for the next tokens of one kind."""

    waiting: list[ClaimOverrides] = field(default_factory=list)

    def next(self) -> dict[str, Any]:
        """Take the overrides of the next token."""
        if not self.waiting:
            return {}
        first = self.waiting[0]
        first.times -= 1
        self.waiting = [overrides for overrides in self.waiting if overrides.times > 0]
        return first.claims


@dataclass(slots=True)
class Conditions:
    """Everything that control can set and reset. Latency is in seconds, by endpoint or `all`."""

    access_token_seconds: int = ACCESS_TOKEN_SECONDS
    clock_ahead_seconds: float = 0.0
    faults: list[Fault] = field(default_factory=list)
    id_token_claims: OverrideQueue = field(default_factory=OverrideQueue)
    app_token_claims: OverrideQueue = field(default_factory=OverrideQueue)
    access_token_claims: OverrideQueue = field(default_factory=OverrideQueue)
    latency: dict[str, float] = field(default_factory=dict)
    outages: dict[str, Outage] = field(default_factory=dict)

    def next_fault(
        self,
        endpoint: str,
        *,
        person: str | None = None,
        grant: str | None = None,
        spared: frozenset[str] = frozenset(),
    ) -> Fault | None:
        """Take the fault of this call, if there is one. The call does not fail with the `spared` failures."""
        faults = (fault for fault in self.faults if fault.failure not in spared)
        fault = next((fault for fault in faults if fault.applies_to(endpoint, person, grant)), None)
        if fault:
            fault.times -= 1
            self.faults = [fault for fault in self.faults if fault.times > 0]
        return fault

    def latency_of(self, endpoint: str) -> float:
        """How long to delay a call, in seconds."""
        return self.latency.get(endpoint, 0) + self.latency.get("all", 0)

    def outage_of(self, endpoint: str) -> Outage | None:
        """The outage of an endpoint, if there is one."""
        return self.outages.get(endpoint) or self.outages.get("all")
