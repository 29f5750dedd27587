"""OAuth apps: their credentials, their registration with Mailbind and their circuit breaker."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.parse import quote_plus

from shared.domain.account import is_guid
from shared.domain.clouds import GLOBAL, Cloud, Resource
from shared.domain.failure import ENTRA_SETUP
from shared.domain.formats import MAX_SCOPES_BYTES, domain_of
from shared.domain.secret import Secret


class ClientSecret(NamedTuple):
    """A client secret, which Entra issues with an expiry."""

    secret: Secret


class ClientCertificate(NamedTuple):
    """A certificate that is registered with the app, and its private key, both PEM (Entra: certificate credentials)."""

    private_key: Secret
    certificate: str


class FederatedIdentity(NamedTuple):
    """A user-assigned managed identity that the app trusts, by its client id: no secret to store, and no expiry.

    Entra calls it a federated identity credential (workload identity federation, "managed identity as a credential").
    """

    identity: str


type ClientCredential = ClientSecret | ClientCertificate | FederatedIdentity


@dataclass(frozen=True, slots=True)
class OAuthApp:
    """An Entra app registration in one of Microsoft's clouds, as sign-ins and refreshes use it.

    `tenant` is the authority's path segment: a tenant id, or `organizations`. `tenants` are the ids of the tenants
    whose people may sign in. `credentials` are tried in order, so that a new one can be added before the old one
    expires; `secret_expires` is that expiry, if known. `scopes` are full names, for resources of `cloud`.
    `credential_reuse` lets one principal's grant serve many accounts. An app that is not `enabled` starts no sign-in,
    but its grants still work. `mail_domains` are pairs of a normalized domain and the tenant that operators assigned
    it to.
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
        """Whether the tenant's administrators may say whose address it is. Nobody else checks what they enter."""
        return len(self.tenants) == 1 or (domain_of(address), tenant_id) in self.mail_domains

    def scopes_of(self, resource: Resource) -> tuple[str, ...]:
        """The scopes for one resource; a token request may not mix resources."""
        prefix = f"{self.cloud.url_of(resource)}/".casefold()
        return tuple(scope for scope in self.scopes if scope.casefold().startswith(prefix))

    def limited_to(self, granted: Iterable[str]) -> "OAuthApp":
        """The app for a refresh of a grant: it requests no more than was granted.

        A scope that was added to the app later would fail every refresh until the person consents (AADSTS65001).
        """
        names = {scope.rpartition("/")[2].casefold() for scope in granted}
        kept = tuple(scope for scope in self.scopes if scope.rpartition("/")[2].casefold() in names)
        return replace(self, scopes=kept) if kept else self

    def secret_expiry_within(self, period: timedelta, now: datetime) -> datetime | None:
        """When the credential expires, or expired, if that is known and before the period ends."""
        soon = self.secret_expires is not None and now >= self.secret_expires - period
        return self.secret_expires if soon else None

    @property
    def has_several_tenants(self) -> bool:
        """Whether people of more than one tenant may sign in."""
        return len(self.tenants) > 1

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The resources that its grants have access tokens for."""
        return tuple(resource for resource in Resource if self.scopes_of(resource))

    @property
    def can_read_profiles(self) -> bool:
        """Whether it may read from Graph who has signed in (permission User.Read)."""
        return any(scope.rpartition("/")[2].casefold() == "user.read" for scope in self.scopes_of(Resource.GRAPH))

    @property
    def primary_resource(self) -> Resource:
        """The resource through which mailboxes are probed: Graph if its scopes allow that, otherwise Outlook."""
        return next(
            (resource for resource in self.resources if covers_shared_mailboxes(self.scopes_of(resource))),
            (*self.resources, Resource.GRAPH)[0],
        )


def covers_shared_mailboxes(granted: Iterable[str]) -> bool:
    """Whether the granted scopes include access to shared mailboxes.

    Without a `.Shared` scope Graph refuses them even to people with Full Access, with the same error as for missing
    access. IMAP has one scope for all mailboxes that a person may open.
    """
    names = [scope.rpartition("/")[2].casefold() for scope in granted]
    shared = (name.startswith("mail.read") and name.endswith(".shared") for name in names)
    return "imap.accessasuser.all" in names or any(shared)


BREAKER_TRIAL_INTERVAL = timedelta(minutes=1)
# The only failure that opens the breaker: a wrong credential is wrong for everybody, a configuration may be wrong for
# one tenant.
BREAKER_OPEN_CODE = "app_credential"
# Refusals that a grant cannot cause (Entra: reference-error-codes): the app is not in the tenant, or disabled; the
# tenant does not exist; the app is not for several tenants.
UNKNOWN_TENANT_NUMBER = 90002
APP_REFUSAL_NUMBERS = frozenset({700016, 700011, 70001, 7000112, 1000031, UNKNOWN_TENANT_NUMBER, 50194})
# For an app of several tenants, how long another tenant's success leaves the record of such a refusal.
FAULT_RETENTION = timedelta(hours=1)


def concerns_app(code: str, aadsts: int | None) -> bool:
    """Whether a failure is about the app, so that none of a tenant's grants is renewed."""
    return code in {BREAKER_OPEN_CODE, ENTRA_SETUP} or (code == "app_configuration" and aadsts in APP_REFUSAL_NUMBERS)


def concerns_authority(code: str, aadsts: int | None) -> bool:
    """Whether the authority's metadata cannot be read: a connection that is set up wrong, or an unknown tenant."""
    return code == ENTRA_SETUP or (code == "app_configuration" and aadsts == UNKNOWN_TENANT_NUMBER)


@dataclass(frozen=True, slots=True)
class CircuitBreaker:
    """What is wrong with an app.

    While it is open, one call at `trial` may find out whether the app is accepted again. Otherwise another tenant's
    success leaves the record until `trial`.
    """

    app: str
    code: str
    since: datetime
    trial: datetime
    aadsts: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether the app's calls are held back; otherwise it only records the fault."""
        return self.code == BREAKER_OPEN_CODE

    @property
    def has_event(self) -> bool:
        """Whether an event reports it. Other faults are found by a verification, whose caller gets the answer."""
        return concerns_app(self.code, self.aadsts)

    def covers(self, other: "CircuitBreaker") -> bool:
        """Whether it reports the other fault already, or a worse one."""
        return self.is_open or (self.code, self.aadsts) == (other.code, other.aadsts)

    def with_next_trial(self, now: datetime) -> "CircuitBreaker":
        """With the next trial one interval from now."""
        return replace(self, trial=now + BREAKER_TRIAL_INTERVAL)


# The authorities of multitenant apps (Entra: v2-oauth2-auth-code-flow, `tenant`). `consumers` is left out, because
# personal accounts have no shared mailboxes.
MULTITENANT_AUTHORITIES = ("organizations", "common")


class Authentication(StrEnum):
    """How an app authenticates to Entra."""

    SECRET = "secret"  # noqa: S105 - the name of a method
    CERTIFICATE = "certificate"
    FEDERATED = "federated"


# The fields of each authentication method; they are cleared when another method is chosen.
FIELDS_BY_AUTHENTICATION: Mapping[Authentication, tuple[str, ...]] = {
    Authentication.SECRET: ("client_secret", "client_secret_2", "secret_expires", "secret_expires_2"),
    Authentication.CERTIFICATE: ("certificate", "private_key", "secret_expires"),
    Authentication.FEDERATED: ("managed_identity",),
}

AUTHENTICATION_BY_CREDENTIAL = {
    "client_secret": Authentication.SECRET,
    "client_secret_2": Authentication.SECRET,
    "certificate": Authentication.CERTIFICATE,
    "managed_identity": Authentication.FEDERATED,
}

MISSING_CREDENTIALS = {
    Authentication.SECRET: ("client_secret", "is required"),
    Authentication.CERTIFICATE: ("certificate", "is required: certificate and private key, PEM"),
    Authentication.FEDERATED: ("managed_identity", "is required: the identity's client id"),
}


@dataclass(frozen=True, slots=True)
class RegisteredApp:
    """An Entra app registration as an operator entered it.

    `authority` is a tenant id, `organizations` or `common`; with a tenant id `tenants` may be left out. `mail_domains`
    have the form `domain=tenant id`. `base_scopes` are keys of BASE_SCOPES. `redirect_url` is the redirect URI that the
    operator registered at Entra, None for our own. `secret_expires` is when the secret or certificate expires, and
    `secret_expires_2` when the second secret does. A disabled app starts no sign-in; its grants still work.
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
        """With new values for some fields. A new secret has no known expiry unless the change sets one."""
        values = dict(changes)
        for secret, expiry in (("client_secret", "secret_expires"), ("client_secret_2", "secret_expires_2")):
            if secret in values:
                values.setdefault(expiry, None)
        changed = replace(self, **values, updated=now)
        own_fields = FIELDS_BY_AUTHENTICATION[changed.authentication]
        other_fields: dict[str, Any] = {
            name: None for names in FIELDS_BY_AUTHENTICATION.values() for name in names if name not in own_fields
        }
        return replace(changed, **other_fields)

    @property
    def credentials(self) -> tuple[ClientCredential, ...]:
        """The credentials in the order in which to try them; empty while the method's fields are incomplete."""
        match self.authentication:
            case Authentication.SECRET:
                return tuple(ClientSecret(secret) for secret in (self.client_secret, self.client_secret_2) if secret)
            case Authentication.CERTIFICATE if self.private_key and self.certificate:
                return (ClientCertificate(self.private_key, self.certificate),)
            case Authentication.FEDERATED if self.managed_identity:
                return (FederatedIdentity(self.managed_identity),)
            case _:
                return ()

    @property
    def allowed_tenants(self) -> frozenset[str]:
        """The tenants whose people may sign in: by default the authority's own."""
        return frozenset(self.tenants or ([self.authority] if is_guid(self.authority) else []))

    def to_oauth_app(self, clouds: Mapping[str, Cloud]) -> OAuthApp:
        """The app as sign-ins and refreshes use it."""
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
            secret_expires=max(filter(None, (self.secret_expires, self.secret_expires_2)), default=None),
            enabled=self.enabled,
            mail_domains=frozenset(map(parse_mail_domain, self.mail_domains)),
        )

    def misplaced_credentials(self, changes: Mapping[str, Any]) -> dict[str, str]:
        """New credentials of another authentication method than the app's: what is wrong, by attribute."""
        return {
            name: f'is for "authentication": "{method}"'
            for name, method in AUTHENTICATION_BY_CREDENTIAL.items()
            if changes.get(name) and method is not self.authentication
        }

    def validation_errors(self, clouds: Mapping[str, Cloud], redirect_uri: str) -> dict[str, str]:
        """What is wrong, by attribute, as a predicate such as `is required`. Empty if the app can be stored."""
        errors = {} if self.credentials else dict([MISSING_CREDENTIALS[self.authentication]])
        if self.authority in MULTITENANT_AUTHORITIES and not self.tenants:
            errors["tenants"] = "is required: ids of the tenants whose people may sign in"
        assignments = [parse_mail_domain(assignment) for assignment in self.mail_domains]
        has_duplicates = len({domain for domain, _ in assignments}) < len(assignments)
        if has_duplicates or not {tenant for _, tenant in assignments} <= self.allowed_tenants:
            errors["mail_domains"] = 'must give each domain to one tenant of those in "tenants"'
        if self.redirect_url not in {None, redirect_uri}:
            errors["redirect_url"] = f"must be {redirect_uri}"
        return errors | self._scope_errors(clouds)

    def _scope_errors(self, clouds: Mapping[str, Cloud]) -> dict[str, str]:
        errors = {}
        cloud = clouds[self.cloud]
        roots = (f"{cloud.graph}/".casefold(), f"{cloud.outlook}/".casefold())
        if not all(scope.casefold().startswith(roots) for scope in self.extra_scopes if "://" in scope):
            errors["extra_scopes"] = "must be permissions of Graph or Outlook in the cloud of the app"
        scopes = self.to_oauth_app(clouds).scopes
        if not scopes:
            errors["skip_scopes"] = "must leave some scope"
        if len(quote_plus(" ".join(scopes))) > MAX_SCOPES_BYTES:
            limit = f"all scopes together may take {MAX_SCOPES_BYTES} bytes of a sign-in's address"
            errors["extra_scopes"] = f"is too long: {limit}"
        return errors


def shadowing_notice(app_id: str) -> str:
    """What to tell about a stored app that has the id of the settings' app."""
    return (
        "This stored app counts instead of the settings MAILBIND_OAUTH_*: changing them has no effect. Change it"
        f" through the API. To return to the settings: DELETE /v1/oauth2/{app_id}"
    )


def parse_mail_domain(assignment: str) -> tuple[str, str]:
    """Parse `domain=tenant id` into the normalized domain and the tenant."""
    domain, _, tenant = assignment.rpartition("=")
    return domain_of(f"@{domain.removeprefix('@')}"), tenant.strip().lower()


def new_app_id(now: datetime, random: bytes) -> str:
    """An id like EmailEngine's: eight bytes of milliseconds and four more, in base64url.

    EmailEngine counts with the four bytes; here they are random, because instances share no counter.
    """
    return base64.urlsafe_b64encode(int(now.timestamp() * 1000).to_bytes(8) + random[:4]).decode()
