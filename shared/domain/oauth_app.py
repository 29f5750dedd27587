"""OAuth apps: the Entra app registrations that Mailbind signs people in through."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.address import domain_of
from shared.domain.client_credential import ClientCredential
from shared.domain.clouds import Cloud, Resource


@dataclass(frozen=True, slots=True)
class OAuthApp:
    """An Entra app registration in one of Microsoft's clouds.

    `tenant` is the authority's segment: a tenant id, or `organizations`.
    `credentials` are tried in order, so that a new one can be added before the old one ends. `tenants` are the ids of
    the tenants whose people may sign in. `scopes` are by full name, of the resources of `cloud`. `credential_reuse`
    lets one principal's grant serve many accounts. `secret_expires` is when the credential ends, as far as anybody has
    told. One that is not `enabled` starts no sign-in; the grants that it has go on. `mail_domains` are pairs of a
    domain, in its normal form, and the tenant that operators assigned it to.
    """

    id: str
    name: str
    client_id: str
    credentials: tuple[ClientCredential, ...]
    tenant: str
    tenants: frozenset[str]
    cloud: Cloud
    scopes: tuple[str, ...]
    credential_reuse: bool = False
    secret_expires: datetime | None = None
    enabled: bool = True
    mail_domains: frozenset[tuple[str, str]] = frozenset()

    def trusts_mail(self, address: str, tenant_id: str) -> bool:
        """Whether that tenant's administrators may say whose address it is: nobody else verifies what they write."""
        return len(self.tenants) == 1 or (domain_of(address), tenant_id) in self.mail_domains

    def scopes_of(self, resource: Resource) -> tuple[str, ...]:
        """Its scopes of one resource: a token request may name no other's."""
        prefix = f"{self.cloud.address(resource)}/".casefold()
        return tuple(scope for scope in self.scopes if scope.casefold().startswith(prefix))

    def within(self, granted: Iterable[str]) -> "OAuthApp":
        """The app as it asks on behalf of a grant: for nothing that was not granted.

        A scope that was added to the app since would stop the grant until its person consents (AADSTS65001).
        """
        names = {scope.rpartition("/")[2].casefold() for scope in granted}
        kept = tuple(scope for scope in self.scopes if scope.rpartition("/")[2].casefold() in names)
        return replace(self, scopes=kept) if kept else self

    @property
    def resources(self) -> tuple[Resource, ...]:
        """What its grants give access tokens for."""
        return tuple(resource for resource in Resource if self.scopes_of(resource))

    @property
    def reads_profiles(self) -> bool:
        """Whether Graph tells it who has signed in (permission User.Read)."""
        return any(scope.rpartition("/")[2].casefold() == "user.read" for scope in self.scopes_of(Resource.GRAPH))

    @property
    def home(self) -> Resource:
        """The resource that mailboxes are proven through: Graph where its scopes do, otherwise Outlook."""
        return next(
            (each for each in self.resources if opens_shared_mailboxes(self.scopes_of(each))),
            (*self.resources, Resource.GRAPH)[0],
        )


def opens_shared_mailboxes(granted: Iterable[str]) -> bool:
    """Whether the granted scopes cover mailboxes of others.

    Without a `.Shared` scope Graph refuses them even to those with Full Access, in the words of a missing access. IMAP
    has one scope for all that a person may open.
    """
    names = [scope.rpartition("/")[2].casefold() for scope in granted]
    shared = (name.startswith("mail.read") and name.endswith(".shared") for name in names)
    return "imap.accessasuser.all" in names or any(shared)
