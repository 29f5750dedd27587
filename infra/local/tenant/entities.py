"""What the directory consists of: mailboxes, people, APIs, apps, managed identities, tenants."""

import uuid
from dataclasses import dataclass, field
from typing import Literal, get_args
from urllib.parse import urlsplit

# Where the mailbox of a directory object is. Graph opens those in Exchange Online only.
# https://learn.microsoft.com/exchange/troubleshoot/user-and-shared-mailboxes/rest-api-is-not-yet-supported-for-this-mailbox-error
# The mail of a Microsoft 365 group is under /groups/{id}. https://learn.microsoft.com/graph/api/resources/conversation
Hosting = Literal["exchangeOnline", "unlicensed", "onPremises", "softDeleted", "group"]
# What a person may do with a mailbox that is not their own. Full Access opens it, but sends nothing.
# https://learn.microsoft.com/exchange/recipients-in-exchange-online/manage-permissions-for-recipients
Permission = Literal["full_access", "send_as", "send_on_behalf"]
PERMISSIONS: tuple[Permission, ...] = get_args(Permission)
LOOPBACK_HOSTS = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """A person's own mailbox, or a shared mailbox, whose account cannot sign in.

    `address` is the primary address, which can differ from the sign-in name `upn`.
    """

    oid: str
    upn: str
    address: str
    name: str
    tenant_id: str
    aliases: tuple[str, ...] = ()
    hosting: Hosting = "exchangeOnline"

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that finds the mailbox."""
        return (self.oid, self.upn, self.address, *self.aliases)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person(Mailbox):
    """A person who can sign in, with their own mailbox. Sign-ins up to `revoked_at` (epoch seconds) are void.

    `refusal` is the failure that Entra answers each of their token requests with, as while a policy blocks them.

    `mail` is the property of that name, if an administrator set it to something else than the mailbox's address.
    Nothing verifies that the address is theirs.
    https://learn.microsoft.com/entra/identity-platform/claims-validation

    A guest signs in with an account of another tenant, `home_address`, and has no mailbox here. Tokens name a guest by
    that address; the sign-in name has `#EXT#`.
    https://learn.microsoft.com/entra/external-id/user-properties
    """

    mail: str | None = None
    home_address: str | None = None
    disabled: bool = False
    admin_consent_required: bool = False
    refusal: str = ""
    revoked_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """An API that tokens are issued for, with its delegated permissions and app roles.

    `token_version` is `requestedAccessTokenVersion` of its manifest; 1 is the default.
    https://learn.microsoft.com/entra/identity-platform/access-tokens#token-formats
    """

    name: str
    app_id: str
    address: str
    scopes: tuple[str, ...]
    roles: tuple[str, ...] = ()
    token_version: int = 1

    def scope(self, name: str) -> str | None:
        """The permission in the resource's own spelling; requests may use any case."""
        return next((scope for scope in self.scopes if scope.lower() == name.lower()), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """An app registration. Its permissions are full scope addresses, and its app roles are written the same way.

    An empty `secret` means that there is none, and `expired_secrets` are the earlier ones.
    """

    id: str
    name: str
    secret: str = field(repr=False)
    redirect_uris: tuple[str, ...]
    permissions: tuple[str, ...]
    roles: tuple[str, ...] = ()
    expired_secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def object_id(self) -> str:
        """The id of its service principal."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, self.id))

    def accepts(self, redirect_uri: str) -> bool:
        """Whether the redirect URI is registered. The port of a loopback address is ignored.

        https://learn.microsoft.com/entra/identity-platform/reply-url#localhost-exceptions
        """
        parts = urlsplit(redirect_uri)
        without_port = parts._replace(netloc=parts.hostname or "").geturl()
        is_loopback = parts.hostname in LOOPBACK_HOSTS
        return redirect_uri in self.redirect_uris or (is_loopback and without_port in self.redirect_uris)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedIdentity:
    """A user-assigned managed identity.

    `trusted_by` are the apps with a federated credential for it; `roles` are its roles at the key vault.
    """

    name: str
    client_id: str
    principal_id: str
    trusted_by: tuple[str, ...]
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """A tenant. A domain is verified in one tenant only, and so are the sign-in names in it.

    https://learn.microsoft.com/entra/identity/users/domains-manage
    """

    id: str
    domain: str
