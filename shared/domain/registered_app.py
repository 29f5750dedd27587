"""OAuth apps as operators register them with Mailbind: what is kept, and what it comes down to when it is used."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote_plus

from shared.domain.address import domain_of
from shared.domain.client_credential import ClientCertificate, ClientCredential, ClientSecret, FederatedIdentity
from shared.domain.clouds import GLOBAL, Cloud
from shared.domain.link import LONGEST_SCOPES
from shared.domain.oauth_app import OAuthApp
from shared.domain.principal import is_guid
from shared.domain.secret import Secret

# A multitenant app signs people of these in (Entra: v2-oauth2-auth-code-flow, `tenant`). `consumers` is left out:
# personal accounts have no shared mailboxes.
ANY_TENANT = ("organizations", "common")


class Authentication(StrEnum):
    """How an app proves itself to Entra."""

    SECRET = "secret"  # noqa: S105 - the name of a way
    CERTIFICATE = "certificate"
    FEDERATED = "federated"


# What each way needs, and what is forgotten when another one is chosen.
KEPT_FOR: Mapping[Authentication, tuple[str, ...]] = {
    Authentication.SECRET: ("client_secret", "client_secret_2", "secret_expires", "secret_expires_2"),
    Authentication.CERTIFICATE: ("certificate", "private_key", "secret_expires"),
    Authentication.FEDERATED: ("managed_identity",),
}

CREDENTIAL_FIELDS = {
    "client_secret": ("clientSecret", Authentication.SECRET),
    "client_secret_2": ("clientSecret2", Authentication.SECRET),
    "certificate": ("certificate", Authentication.CERTIFICATE),
    "managed_identity": ("managedIdentity", Authentication.FEDERATED),
}


@dataclass(frozen=True, slots=True)
class RegisteredApp:
    """An Entra app registration, in words of the API. A disabled one starts no sign-in; its grants live on.

    `authority` is a tenant id, `organizations` or `common`; `tenants` may be left out with a tenant id, and
    `mail_domains` are written as `domain=tenant id`. `base_scopes` are keys of BASE_SCOPES. `redirect_url` is what the
    operator was told to register at Entra, None for our own. `secret_expires` is when the secret or certificate ends,
    `secret_expires_2` when the second secret does.
    """

    id: str
    name: str
    client_id: str
    authority: str
    base_scopes: tuple[str, ...] = ("api",)
    enabled: bool = False
    description: str | None = None
    title: str | None = None
    cloud: str = GLOBAL
    redirect_url: str | None = None
    extra_scopes: tuple[str, ...] = ()
    skip_scopes: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    mail_domains: tuple[str, ...] = ()
    credential_reuse: bool = False
    authentication: Authentication = Authentication.SECRET
    client_secret: Secret | None = None
    client_secret_2: Secret | None = None
    secret_expires: datetime | None = None
    secret_expires_2: datetime | None = None
    certificate: str | None = None
    private_key: Secret | None = None
    managed_identity: str | None = None
    created: datetime | None = None
    updated: datetime | None = None

    def changed(self, changes: Mapping[str, Any], now: datetime) -> "RegisteredApp":
        """With other values of some fields; the end of a secret that is replaced is not known until it is told."""
        told = dict(changes)
        for secret, end in (("client_secret", "secret_expires"), ("client_secret_2", "secret_expires_2")):
            if secret in told:
                told.setdefault(end, None)
        after = replace(self, **told, updated=now)
        kept = KEPT_FOR[after.authentication]
        gone: dict[str, Any] = {name: None for names in KEPT_FOR.values() for name in names if name not in kept}
        return replace(after, **gone)

    @property
    def credentials(self) -> tuple[ClientCredential, ...]:
        """How it authenticates, in the order in which to try; none while what the way needs is missing."""
        match self.authentication:
            case Authentication.SECRET:
                return tuple(ClientSecret(one) for one in (self.client_secret, self.client_secret_2) if one)
            case Authentication.CERTIFICATE if self.private_key and self.certificate:
                return (ClientCertificate(self.private_key, self.certificate),)
            case Authentication.FEDERATED if self.managed_identity:
                return (FederatedIdentity(self.managed_identity),)
            case _:
                return ()

    @property
    def allowed_tenants(self) -> frozenset[str]:
        """Whose people may sign in: those of the authority when nothing else is said."""
        return frozenset(self.tenants or ([self.authority] if is_guid(self.authority) else []))

    def in_use(self, clouds: Mapping[str, Cloud]) -> OAuthApp:
        """The app as sign-ins and refreshes see it."""
        cloud = clouds[self.cloud]
        return OAuthApp(
            id=self.id,
            name=self.title or self.name,
            client_id=self.client_id,
            credentials=self.credentials,
            tenant=self.authority,
            tenants=self.allowed_tenants,
            cloud=cloud,
            scopes=cloud.scopes(self.base_scopes, self.extra_scopes, self.skip_scopes),
            credential_reuse=self.credential_reuse,
            secret_expires=max((one for one in (self.secret_expires, self.secret_expires_2) if one), default=None),
            enabled=self.enabled,
            mail_domains=frozenset(map(mail_domain, self.mail_domains)),
        )

    def strays(self, told: Mapping[str, Any]) -> dict[str, str]:
        """Credentials of another way of authentication than the app's, by the API's field."""
        return {
            field: f'"{field}" is for "authentication": "{way}"'
            for name, (field, way) in CREDENTIAL_FIELDS.items()
            if told.get(name) and way is not self.authentication
        }

    def faults(self, clouds: Mapping[str, Cloud], redirect_uri: str) -> dict[str, str]:
        """What does not fit together, by the API's field: to be mended before it is kept."""
        needs = {
            Authentication.SECRET: ("clientSecret", '"clientSecret" is required'),
            Authentication.CERTIFICATE: ("certificate", '"certificate" is required: certificate and private key, PEM'),
            Authentication.FEDERATED: ("managedIdentity", '"managedIdentity" is required: the identity\'s client id'),
        }
        faults = {} if self.credentials else dict([needs[self.authentication]])
        cloud = clouds[self.cloud]
        if self.authority in ANY_TENANT and not self.tenants:
            faults["tenants"] = '"tenants" is required: ids of the tenants whose people may sign in'
        assigned = [mail_domain(one) for one in self.mail_domains]
        twice = len({domain for domain, _ in assigned}) < len(assigned)
        if twice or not {tenant for _, tenant in assigned} <= self.allowed_tenants:
            faults["mailDomains"] = '"mailDomains" must give each domain to one tenant of those in "tenants"'
        if self.redirect_url not in {None, redirect_uri}:
            faults["redirectUrl"] = f'"redirectUrl" must be {redirect_uri}'
        roots = (f"{cloud.graph}/".casefold(), f"{cloud.outlook}/".casefold())
        if not all(one.casefold().startswith(roots) for one in self.extra_scopes if "://" in one):
            faults["extraScopes"] = '"extraScopes" must be permissions of Graph or Outlook in the cloud of the app'
        scopes = self.in_use(clouds).scopes
        if not scopes:
            faults["skipScopes"] = '"skipScopes" must leave some scope'
        if len(quote_plus(" ".join(scopes))) > LONGEST_SCOPES:
            most = f"all scopes together may take {LONGEST_SCOPES} bytes of a sign-in's address"
            faults["extraScopes"] = f'"extraScopes" is too long: {most}'
        return faults


def mail_domain(assignment: str) -> tuple[str, str]:
    """The domain, in its normal form, and the tenant of `domain=tenant id`."""
    domain, _, tenant = assignment.rpartition("=")
    return domain_of(f"@{domain.removeprefix('@')}"), tenant.strip().lower()


def new_app_id(now: datetime, random: bytes) -> str:
    """An id as EmailEngine has them: eight bytes of milliseconds and four more, in base64url.

    Those four count up there; here they are random, because instances share no counter.
    """
    return base64.urlsafe_b64encode(int(now.timestamp() * 1000).to_bytes(8) + random[:4]).decode()
