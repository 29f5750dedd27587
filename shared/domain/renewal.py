"""Renewal of a grant: what was wished, what Entra said to it, and what becomes of the grant."""

from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.clouds import Resource
from shared.domain.failure import Failure
from shared.domain.grant import DelegatedGrant
from shared.domain.kinds import FailureKind
from shared.domain.setback import after_failure
from shared.domain.tokens import TokenSet

# Failures that a person's sign-in mends.
PERSONS = {FailureKind.NEEDS_SIGN_IN, FailureKind.NEEDS_CONSENT}


@dataclass(frozen=True, slots=True)
class Wish:
    """A token for this resource, by default the one that the grant lives by; one that meets these claims."""

    resource: Resource | None = None
    claims: str | None = None


PLAIN = Wish()


@dataclass(frozen=True, slots=True)
class EntraAnswer:
    """What Entra said of the grant, and of what was wished beyond that, if it refused it.

    `home` is the resource that the grant lives by from now on.
    """

    grant: TokenSet | Failure
    refused: Failure | None = None
    home: Resource | None = None

    @property
    def failure(self) -> Failure | None:
        """Why the grant could not be renewed, if it could not."""
        return self.grant if isinstance(self.grant, Failure) else None

    @property
    def granted(self) -> bool:
        """Whether everything that was wished was given."""
        return self.failure is None and self.refused is None


def about_all(failure: Failure) -> bool:
    """Whether it would be the same for whatever is asked for: Entra is unwell, or refuses the app's own credential."""
    return failure.kind is FailureKind.TRANSIENT or failure.code == "app_credential"


def is_newer(grant: DelegatedGrant, before: DelegatedGrant, resource: Resource | None) -> bool:
    """Whether somebody else has renewed the very token meanwhile."""
    held, was = (each.held(resource or each.resource) for each in (grant, before))
    return held is not None and (was is None or held.refreshed > was.refreshed)


def after_answer(
    grant: DelegatedGrant, wish: Wish, answer: EntraAnswer, now: datetime, jitter: float
) -> DelegatedGrant:
    """What becomes of the grant. An app that no longer covers what it lived by gives it another home."""
    told, refused = answer.grant, answer.refused
    before = grant.living_by(answer.home or grant.resource, now)
    if wish.claims is not None:
        before = replace(before, challenged=now, claims=_unmet(refused))
    if isinstance(told, Failure):
        if before.claims is not None and told.kind in PERSONS:
            # The sign-in that mends this has to meet the challenge too.
            code = "claims_challenge" if wish.claims else told.code
            told = replace(told, code=code, claims=told.claims or before.claims)
        return after_failure(before, told, now, jitter)
    after = before.renewed(told, now, jitter)
    if refused is not None and wish.claims is None and wish.resource is not None:
        after = after.refused(wish.resource, refused.code, now, jitter)
    return after


def _unmet(refused: Failure | None) -> str | None:
    """The claims that the next sign-in has to carry; where a policy blocks, none would help.

    They are those that Microsoft returned, never the caller's: a sign-in with made-up claims might be refused.
    """
    return refused.claims if refused is not None and refused.kind in PERSONS else None
