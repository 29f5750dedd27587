"""What the control endpoint accepts: one strict record per action, JSON names in camelCase."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from infra.local.tenant.conditions import Outage

Count = Annotated[int, Meta(ge=1)]
Milliseconds = Annotated[int, Meta(ge=0)]
Endpoint = Literal["token", "graph", "authorize", "imap"]


class Body(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Base of all bodies: an unknown field is an error."""


class Revoke(Body, frozen=True):
    """All sign-ins of the person up to now are void."""

    person: str


class Access(Body, frozen=True):
    """Full Access of the person to the mailbox: there, or not."""

    person: str
    mailbox: str
    full_access: bool


class Fail(Body, frozen=True):
    """The next `times` calls of the endpoint fail; narrowed to a person and a grant type."""

    endpoint: Endpoint
    failure: str
    times: Count = 1
    person: str | None = None
    grant: Literal["authorization_code", "refresh_token"] | None = None
    retry_after: Annotated[int, Meta(ge=0)] | None = None


class Throttle(Body, frozen=True):
    """The next `times` calls are answered with 429 and this Retry-After, in seconds."""

    endpoint: Literal["token", "graph", "imap"]
    times: Count = 1
    retry_after: Annotated[int, Meta(ge=0)] = 10


class Latency(Body, frozen=True):
    """Every call of the endpoint takes this much longer, until it is set to 0."""

    endpoint: Literal["token", "graph", "authorize", "imap", "all"]
    milliseconds: Milliseconds


class SetOutage(Body, frozen=True):
    """The endpoint is out, until the mode is `none`."""

    endpoint: Literal["token", "graph", "authorize", "imap", "vault", "identity", "all"]
    mode: Outage | Literal["none"]


class Lifetimes(Body, frozen=True):
    """How long access tokens live from now on."""

    access_token_seconds: Count


class IdToken(Body, frozen=True):
    """Claims that the next `times` ID tokens carry instead of their own; null leaves one out."""

    claims: dict[str, Any]
    times: Count = 1


class AppToken(IdToken, frozen=True):
    """The same for access tokens of applications."""


class AccessToken(IdToken, frozen=True):
    """The same for access tokens of people."""


class App(Body, frozen=True):
    """App roles that an app is assigned, as `application ID URI/role`: exactly these."""

    client_id: str
    roles: list[str]


class Api(Body, frozen=True):
    """Which version of access tokens an API asks for (`requestedAccessTokenVersion` of its manifest)."""

    address: str
    token_version: Literal[1, 2]


class SigningKey(Body, frozen=True):
    """Roll over to a new signing key; the old one is no longer published."""


class Change(Body, frozen=True):
    """Something new about a person; or `create`: that many people with Full Access to the mailbox.

    `first` is the number of the first one. `consented` is to Mailbind's app: all of its permissions, none, or exactly
    these full scope addresses. `address` is the primary address of their mailbox, `sign_in_name` their new sign-in
    name, `mail` the property of their profile where it is none of their addresses.
    """

    upn: str | None = None
    address: str | None = None
    sign_in_name: str | None = None
    mail: str | None = None
    disabled: bool | None = None
    admin_consent_required: bool | None = None
    consented: bool | list[str] | None = None
    create: Count | None = None
    first: Count = 1
    mailbox: str | None = None


class SharedMailboxes(Body, frozen=True):
    """That many shared mailboxes, with Full Access of the person to each."""

    create: Count
    person: str


class OtherTenant(Body, frozen=True):
    """Another tenant with this verified domain, and one person of it."""

    domain: str
    person: str


class Address(Body, frozen=True):
    """The address belongs to this mailbox from now on, and to no other one."""

    mailbox: str
    address: str


class SignIn(Body, frozen=True):
    """A sign-in of the person without a browser."""

    person: str
    client_id: str | None = None


class Clock(Body, frozen=True):
    """Move the tenant's clock ahead by this much more."""

    advance_seconds: Annotated[float, Meta(gt=0)]


class Certificate(Body, frozen=True):
    """A certificate, as PEM, that Mailbind's app may sign client assertions with."""

    pem: str


class Federate(Body, frozen=True):
    """A federated identity credential of Mailbind's app."""

    issuer: str
    subject: str
    audience: str


class VaultKey(Body, frozen=True):
    """A key of the vault: made, or given one more version; a version disabled or enabled; or destroyed with all."""

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9-]{1,127}$")]
    change: Literal["make", "disable", "enable", "destroy"]
    version: str | None = None


class Reset(Body, frozen=True):
    """Back to contoso.toml."""
