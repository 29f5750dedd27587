"""The request bodies of the control endpoint: one strict record for each action, with camelCase names in JSON."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from infra.local.tenant.conditions import Outage
from infra.local.tenant.entities import Hosting

Count = Annotated[int, Meta(ge=1)]
Milliseconds = Annotated[int, Meta(ge=0)]
Endpoint = Literal["token", "graph", "authorize", "imap"]


class Body(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Base of all bodies. An unknown field is an error."""


class Revoke(Body, frozen=True):
    """End all sign-ins of the person up to now."""

    person: str


class Access(Body, frozen=True):
    """Grant the person permissions on the mailbox, or remove them. Those that are left out stay as they are."""

    person: str
    mailbox: str
    full_access: bool | None = None
    send_as: bool | None = None
    send_on_behalf: bool | None = None


class Fail(Body, frozen=True):
    """The next `times` calls of the endpoint fail; `person` and `grant` limit it to some calls."""

    endpoint: Endpoint
    failure: str
    times: Count = 1
    person: str | None = None
    grant: Literal["authorization_code", "refresh_token", "client_credentials"] | None = None
    retry_after: Annotated[int, Meta(ge=0)] | None = None


class Throttle(Body, frozen=True):
    """The next `times` calls get 429 with this Retry-After, in seconds."""

    endpoint: Literal["token", "graph", "imap"]
    times: Count = 1
    retry_after: Annotated[int, Meta(ge=0)] = 10


class Latency(Body, frozen=True):
    """Every call of the endpoint takes this much longer, until the value is set to 0."""

    endpoint: Literal["token", "graph", "authorize", "imap", "all"]
    milliseconds: Milliseconds


class SetOutage(Body, frozen=True):
    """The endpoint has an outage until the mode is set to `none`. `messages` is the part of Graph with these paths."""

    endpoint: Literal["token", "graph", "messages", "authorize", "imap", "vault", "identity", "all"]
    mode: Outage | Literal["none"]


class Lifetimes(Body, frozen=True):
    """Lifetime of the access tokens that are issued from now on."""

    access_token_seconds: Count


class IdToken(Body, frozen=True):
    """Claims that replace those of the next `times` ID tokens; null removes a claim."""

    claims: dict[str, Any]
    times: Count = 1


class AppToken(IdToken, frozen=True):
    """Claims that replace those of the next access tokens of applications."""


class AccessToken(IdToken, frozen=True):
    """Claims that replace those of the next access tokens of people."""


class App(Body, frozen=True):
    """Replace the app roles of an app, or its client secret, which has expired then; an empty one replaces it by none.

    A role is written as `application ID URI/role`.
    """

    client_id: str
    roles: list[str] | None = None
    secret: str | None = None


class Api(Body, frozen=True):
    """Set the version of an API's access tokens (`requestedAccessTokenVersion` of its manifest)."""

    address: str
    token_version: Literal[1, 2]


class SigningKey(Body, frozen=True):
    """Sign with a new key. The old one is no longer published."""


class ChangePerson(Body, frozen=True):
    """Change the person `upn`, or create people with Full Access to the mailbox.

    `create` is how many people to create, `first` the number of the first one. `consented` is the consent to Mailbind's
    app: all permissions, none, or exactly these full scope addresses. `address` is the new primary address of their
    mailbox, `sign_in_name` the new sign-in name, and `mail` a `mail` property that is not one of their addresses.
    `refusal` is the failure of all their token requests, until it is empty.
    """

    upn: str | None = None
    address: str | None = None
    sign_in_name: str | None = None
    mail: str | None = None
    disabled: bool | None = None
    admin_consent_required: bool | None = None
    refusal: str | None = None
    consented: bool | list[str] | None = None
    create: Count | None = None
    first: Count = 1
    mailbox: str | None = None


class SharedMailboxes(Body, frozen=True):
    """Create shared mailboxes, with Full Access and Send As for the person."""

    create: Count
    person: str


class OtherTenant(Body, frozen=True):
    """Create another tenant with this verified domain and one person."""

    domain: str
    person: str


class Address(Body, frozen=True):
    """Move the address to this mailbox."""

    mailbox: str
    address: str


class SetHosting(Body, frozen=True):
    """Say where the mailbox is: in Exchange Online, elsewhere, or nowhere."""

    mailbox: str
    hosting: Hosting


class Guest(Body, frozen=True):
    """Invite a person of another organization, by their address there."""

    address: str


class SignIn(Body, frozen=True):
    """Sign the person in without a browser."""

    person: str
    client_id: str | None = None


class Deliver(Body, frozen=True):
    """Deliver `count` copies of a message to the mailbox, as if somebody elsewhere had sent it.

    `message` has Graph's properties; `receivedDateTime` among them moves the arrival to another time. It is the first
    message of its conversation. `mime` is the message as it is on the way, in base64, instead of most properties.
    """

    mailbox: str
    message: dict[str, Any] = {}
    mime: str = ""
    folder: str = "inbox"
    count: Count = 1


class DeltaState(Body, frozen=True):
    """Make the tokens of all delta queries invalid."""


class Clock(Body, frozen=True):
    """Advance the tenant's clock."""

    advance_seconds: Annotated[float, Meta(gt=0)]


class Certificate(Body, frozen=True):
    """Register a certificate (PEM) for client assertions of Mailbind's app."""

    pem: str


class Federate(Body, frozen=True):
    """Register a federated identity credential of Mailbind's app."""

    issuer: str
    subject: str
    audience: str


class VaultKey(Body, frozen=True):
    """Create a key or a new version of it (`make`), disable or enable a version, or destroy the key."""

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9-]{1,127}$")]
    change: Literal["make", "disable", "enable", "destroy"]
    version: str | None = None


class Reset(Body, frozen=True):
    """Return to contoso.toml."""
