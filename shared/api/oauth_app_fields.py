"""The fields of an OAuth app in requests, and what is stored of them."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, UnsetType

from shared.api.field_types import GUID, NOT_BLANK, PLAIN, Guid, RequestTimestamp, Text, described, one_of
from shared.certificates import CERTIFICATE_RULE, read_certificate
from shared.domain.account import is_guid
from shared.domain.clouds import BASE_SCOPES, CLOUDS
from shared.domain.oauth_app import Authentication, parse_mail_domain
from shared.domain.secret import MASK, Secret
from shared.http.decoding import Body, Faults

MAX_ITEMS = 50
MAX_PEM_CHARACTERS = 16 * 1024
MAX_DOMAIN_CHARACTERS = 255  # RFC 1035 section 2.3.4
FIXED = "cannot be changed: register another app"
# MSAL asks for them by itself, and takes them from nobody (MSAL Python: reserved scopes).
RESERVED_SCOPES = {"openid", "profile", "offline_access"}


def mail_domain_fault(text: str) -> str | None:
    """What is wrong with a mail domain and the id of its tenant."""
    domain, tenant = parse_mail_domain(text)
    fits = 0 < len(domain) <= MAX_DOMAIN_CHARACTERS and "." in domain and is_guid(tenant)
    return None if fits else "must be domain=tenant id"


def scope_fault(text: str) -> str | None:
    """What is wrong with a scope token, beside its letters."""
    return "must be a scope that MSAL does not ask for by itself" if text.lower() in RESERVED_SCOPES else None


AppName = Annotated[
    str, Meta(description="Its name for administrators.", examples=["Contoso"], max_length=256, pattern=NOT_BLANK)
]
ClientId = Annotated[Guid, Meta(extra={"must": "be an application (client) id"})]
ClientSecret = Annotated[
    str, Meta(description="A client secret; reads back as ******.", max_length=256, pattern=NOT_BLANK)
]
Authority = Annotated[
    str,
    Meta(
        description="A tenant id, or `organizations` or `common`.",
        examples=["7d1b2f0a-0000-4000-8000-00000000c0de"],
        pattern=f"{GUID}|^organizations$|^common$",
        extra={"must": "be a tenant id, organizations or common", "lower": True},
    ),
]
MailDomain = Annotated[
    str,
    Meta(
        description="A mail domain and the id of the tenant that it belongs to.",
        examples=["contoso.example=7d1b2f0a-0000-4000-8000-00000000c0de"],
        pattern=f"^[A-Za-z0-9.-]+[.][A-Za-z0-9-]+={GUID.removeprefix('^')}",
        max_length=300,
        extra={"check": mail_domain_fault},
    ),
]
Scopes = Annotated[
    list[
        Annotated[
            str,
            Meta(
                examples=["Mail.Send.Shared"],
                min_length=1,
                max_length=256,
                pattern="^[!-~]+$",  # RFC 6749 section 3.3
                extra={"check": scope_fault},
            ),
        ]
    ],
    Meta(
        description="The names of permissions.",
        max_length=MAX_ITEMS,
        examples=[["Mail.Send.Shared"]],
        extra={"items": "scopes", "null_is_empty": True},
    ),
]


class AppChange(Body, kw_only=True):
    """The fields to change. null removes an optional value."""

    refused: ClassVar[Mapping[str, str]] = {"provider": FIXED, "baseScopes": FIXED}
    example: ClassVar[Mapping[str, Any]] = {"title": "Contoso archive", "credentialReuse": True}

    name: AppName | UnsetType = UNSET
    description: (
        Annotated[str, Meta(description="Notes for administrators.", max_length=1024, pattern=PLAIN)] | UnsetType | None
    ) = UNSET
    title: Annotated[Text, Meta(description="Its name for people who choose between apps.")] | UnsetType | None = UNSET
    enabled: (
        Annotated[bool, Meta(description="Whether people can sign in through it.", examples=[True])] | UnsetType
    ) = UNSET
    client_id: ClientId | UnsetType = UNSET
    client_secret: ClientSecret | UnsetType = UNSET
    client_secret_2: ClientSecret | UnsetType | None = UNSET
    authority: Authority | UnsetType = UNSET
    tenants: (
        Annotated[
            list[Guid],
            Meta(
                description="The tenants whose people may sign in.",
                max_length=MAX_ITEMS,
                extra={"items": "tenant ids", "null_is_empty": True},
            ),
        ]
        | UnsetType
    ) = UNSET
    mail_domains: (
        Annotated[
            list[MailDomain],
            Meta(
                description="Mail domains, each with its tenant.",
                max_length=MAX_ITEMS,
                extra={"items": "domain=tenant id", "null_is_empty": True},
            ),
        ]
        | UnsetType
    ) = UNSET
    cloud: (
        Annotated[
            str,
            one_of(CLOUDS, description="Microsoft's cloud.", examples=["global"]),
            Meta(extra={"lower": True}),
        ]
        | UnsetType
    ) = UNSET
    redirect_url: (
        Annotated[
            str,
            described(
                "uri",
                "The redirect URI; Mailbind's own by default.",
                "https://mailbind.example/oauth",
                max_length=1024,
            ),
        ]
        | UnsetType
    ) = UNSET
    extra_scopes: Scopes | UnsetType = UNSET
    skip_scopes: Scopes | UnsetType = UNSET
    credential_reuse: (
        Annotated[bool, Meta(description="Whether one grant serves several accounts.", examples=[False])] | UnsetType
    ) = UNSET
    authentication: (
        Annotated[
            Authentication,
            Meta(description="How it authenticates to Entra.", examples=["secret"], extra={"lower": True}),
        ]
        | UnsetType
    ) = UNSET
    certificate: (
        Annotated[
            str,
            Meta(
                description="A certificate and its private key, in PEM.",
                max_length=MAX_PEM_CHARACTERS,
                extra_json_schema={"format": "pem"},
                extra={"any_text": True, "absent": (None,)},
            ),
        ]
        | UnsetType
    ) = UNSET
    managed_identity: (
        Annotated[Guid, Meta(extra={"must": "be the client id of a user-assigned managed identity"})] | UnsetType
    ) = UNSET
    secret_expires: (
        Annotated[RequestTimestamp, Meta(description="When the client secret expires, to be warned before.")]
        | UnsetType
        | None
    ) = UNSET
    secret_expires_2: (
        Annotated[RequestTimestamp, Meta(description="When the second client secret expires.")] | UnsetType | None
    ) = UNSET


class NewApp(AppChange, kw_only=True):
    """A new OAuth app."""

    refused: ClassVar[Mapping[str, str]] = {}
    # The second app of the local tenant.
    example: ClassVar[Mapping[str, Any]] = {
        "name": "Contoso archive",
        "provider": "outlook",
        "enabled": True,
        "authority": "7c3f1e52-5d1b-4a57-9a0e-2f6c7f1d9b10",
        "clientId": "8e41f7b2-60cd-4f1a-9d35-2a7be90c64d8",
        "clientSecret": "local-secret-of-contoso-archive",
    }

    name: AppName
    client_id: ClientId
    authority: Authority
    provider: Annotated[
        Literal["outlook"], Meta(extra={"must": "be outlook: Mailbind signs people in at Microsoft only"})
    ]
    base_scopes: (
        Annotated[
            list[Annotated[str, one_of(BASE_SCOPES)]],
            Meta(
                description="How Mailbind opens mailboxes.",
                examples=[["api"]],
                min_length=1,
                max_length=2,
                extra={"items": f"words of [{', '.join(BASE_SCOPES)}]"},
            ),
        ]
        | UnsetType
    ) = UNSET


def stored_values(body: AppChange, faults: Faults) -> dict[str, Any]:
    """What is stored, by field of RegisteredApp. What a secret reads back as leaves it as it is."""
    values = body.given
    values.pop("provider", None)
    for name, value in values.items():
        if isinstance(value, list):
            values[name] = tuple(value)
    for name, field in (("client_secret", "clientSecret"), ("client_secret_2", "clientSecret2")):
        _store_secret(values, name, field, faults, is_new=isinstance(body, NewApp))
    _store_certificate(values, faults, is_new=isinstance(body, NewApp))
    return values


def _store_secret(values: dict[str, Any], name: str, field: str, faults: Faults, *, is_new: bool) -> None:
    text = values.pop(name, UNSET)
    if text == MASK and is_new:
        faults.add(field, "must be the secret itself")
    elif text not in (UNSET, MASK):
        values[name] = Secret(text) if text else None


def _store_certificate(values: dict[str, Any], faults: Faults, *, is_new: bool) -> None:
    """A certificate says itself when it ends."""
    pem = values.pop("certificate", UNSET)
    if pem is UNSET or (pem == MASK and not is_new):
        return
    found = read_certificate(pem)
    if found is None:
        faults.add("certificate", f"must be {CERTIFICATE_RULE}")
        return
    certificate, expiry = found
    values |= {"certificate": certificate.certificate, "private_key": certificate.private_key}
    values["secret_expires"] = expiry
