"""Reads a scope parameter: which resource each scope belongs to, and its canonical name.

A scope is `resource address/permission`. Without a resource it is Microsoft Graph's. `resource/.default` means every
registered permission. `openid`, `profile`, `email` and `offline_access` belong to no resource.
https://learn.microsoft.com/entra/identity-platform/scopes-oidc
"""

from dataclasses import dataclass

from infra.local.tenant.directory import Directory
from infra.local.tenant.entities import Client, Resource
from infra.local.tenant.failures import Refusal

OIDC_SCOPES = frozenset({"openid", "profile", "email", "offline_access"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A permission of a resource. `audience` is the resource's address in the request, `text` the scope as written."""

    resource: Resource
    audience: str
    name: str
    text: str

    @property
    def address(self) -> str:
        """The full name of the scope, which does not depend on how it was requested."""
        return f"{self.resource.address}/{self.name}"


@dataclass(frozen=True, slots=True)
class Scopes:
    """The requested scopes: those of OpenID Connect, and permissions in the order of the request."""

    oidc: frozenset[str]
    permissions: tuple[Scope, ...]

    @property
    def audiences(self) -> list[str]:
        """The requested resources, in the order of the request."""
        return list(dict.fromkeys(scope.audience for scope in self.permissions))

    def of_first_resource(self) -> "Scopes":
        """Only the permissions of the first resource.

        https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#redeem-a-code-for-an-access-token
        """
        first = self.audiences[0]
        return Scopes(self.oidc, tuple(scope for scope in self.permissions if scope.audience == first))

    def with_consented(self, consented_scopes: frozenset[str]) -> "Scopes":
        """Add the other scopes of the same resource that the person has consented to, as Entra does since August 2021.

        https://learn.microsoft.com/entra/identity-platform/reference-breaking-changes
        """
        requested = {scope.address for scope in self.permissions}
        extra = [
            Scope(resource=first.resource, audience=first.audience, name=name, text=f"{first.audience}/{name}")
            for first in self.permissions[:1]
            for name in first.resource.scopes
            if f"{first.resource.address}/{name}" in consented_scopes - requested
        ]
        return Scopes(self.oidc, (*self.permissions, *extra))


def read_scopes(text: str, client: Client, directory: Directory, origin: str) -> Scopes:
    """Read a scope parameter. Raises Refusal 70011 for an unknown permission, 500011 for an unknown resource."""
    words = text.split()
    permissions = [
        scope for word in words if word not in OIDC_SCOPES for scope in _permissions(word, client, directory, origin)
    ]
    return Scopes(OIDC_SCOPES & set(words), tuple(dict.fromkeys(permissions)))


def _permissions(word: str, client: Client, directory: Directory, origin: str) -> list[Scope]:
    # The tenant's own address is the Graph host of its cloud, like graph.microsoft.us in the US government cloud.
    resources = {**{resource.address: resource for resource in directory.resources}, origin: directory.graph}
    audience, _, name = word.rpartition("/")
    audience = audience.rstrip("/") or directory.graph.address
    if audience not in resources:
        raise Refusal("500011", resource=audience, tenant=directory.name)
    resource = resources[audience]
    if name == ".default":
        names = [scope.rpartition("/")[2] for scope in client.permissions if scope.startswith(resource.address)]
        return [Scope(resource=resource, audience=audience, name=name, text=f"{audience}/{name}") for name in names]
    canonical_name = resource.scope(name)
    if canonical_name is None:
        raise Refusal("70011", scope=word)
    return [Scope(resource=resource, audience=audience, name=canonical_name, text=word)]
