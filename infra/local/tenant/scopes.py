"""Scopes of a request: which resource each is of, and what the tenant calls it.

Rules from entra-docs scopes-oidc.md: a scope is `resource address/permission`; one without a resource is Microsoft
Graph's; `resource/.default` stands for everything registered; `openid`, `profile`, `email` and `offline_access` are of
no resource.
"""

from dataclasses import dataclass

from infra.local.tenant.directory import Client, Directory, Resource
from infra.local.tenant.failures import Refusal

OIDC = frozenset({"openid", "profile", "email", "offline_access"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A permission of a resource. `audience` is the resource's address in the request, `text` the whole word there."""

    resource: Resource
    audience: str
    name: str
    text: str

    @property
    def address(self) -> str:
        """The scope's full name, the same however it was asked for."""
        return f"{self.resource.address}/{self.name}"


@dataclass(frozen=True, slots=True)
class Scopes:
    """What a client asks for: OpenID Connect's scopes, and permissions in the order of the request."""

    oidc: frozenset[str]
    permissions: tuple[Scope, ...]

    @property
    def audiences(self) -> list[str]:
        """The resources asked for, in the order of the request."""
        return list(dict.fromkeys(scope.audience for scope in self.permissions))

    def of_first_resource(self) -> "Scopes":
        """Drop permissions of all resources but the first (entra-docs v2-oauth2-auth-code-flow.md)."""
        return Scopes(self.oidc, tuple(s for s in self.permissions if s.audience == self.audiences[0]))

    def with_consented(self, consented: frozenset[str]) -> "Scopes":
        """Add what else the person has consented to at the same resource.

        Tokens carry it whether or not it was asked for (entra-docs reference-breaking-changes.md, August 2021: all
        consented scopes that need no further Conditional Access).
        """
        asked = {scope.address for scope in self.permissions}
        extra = [
            Scope(resource=first.resource, audience=first.audience, name=name, text=f"{first.audience}/{name}")
            for first in self.permissions[:1]
            for name in first.resource.scopes
            if f"{first.resource.address}/{name}" in consented - asked
        ]
        return Scopes(self.oidc, (*self.permissions, *extra))


def read_scopes(text: str, client: Client, directory: Directory, origin: str) -> Scopes:
    """Read a scope parameter. Refusal 70011 for an unknown permission, 500011 for an unknown resource."""
    words = text.split()
    found: list[Scope] = []
    for word in words:
        if word not in OIDC:
            found += _permissions(word, client, directory, origin)
    return Scopes(OIDC & set(words), tuple(dict.fromkeys(found)))


def _permissions(word: str, client: Client, directory: Directory, origin: str) -> list[Scope]:
    graph = directory.resources[0]
    # The tenant's own address is the Graph host of its cloud, as graph.microsoft.us is of another one.
    known = {**{resource.address: resource for resource in directory.resources}, origin: graph}
    audience, _, name = word.rpartition("/")
    audience = audience.rstrip("/") or graph.address
    if audience not in known:
        raise Refusal("500011", resource=audience, tenant=directory.name)
    resource = known[audience]
    if name == ".default":
        names = [each.rpartition("/")[2] for each in client.permissions if each.startswith(resource.address)]
        return [Scope(resource=resource, audience=audience, name=n, text=f"{audience}/{n}") for n in names]
    canonical = resource.scope(name)
    if canonical is None:
        raise Refusal("70011", scope=word)
    return [Scope(resource=resource, audience=audience, name=canonical, text=word)]
