"""/v1/token and /v1/tokens: issue, list and revoke API tokens."""

import ipaddress
from datetime import datetime, timedelta
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from shared.api.account_filter import AccountFilter, AccountIds, binding_of, filter_fields
from shared.api.field_types import (
    NOT_BLANK,
    Id,
    Page,
    PageQuery,
    Pages,
    RequestTimestamp,
    SecretText,
    Timestamp,
    Total,
    WasThere,
    described,
    page_count,
)
from shared.domain import caller as callers
from shared.domain.audit import Action
from shared.domain.caller import Caller, Scope
from shared.http.audit import add_to_audit
from shared.http.decoding import NOT_A_TIMESTAMP, Body, Faults
from shared.http.operations import Resource
from shared.http.responses import Answer, moment
from shared.ports import App
from shared.usecases.callers import api_tokens

MAX_ADDRESSES = MAX_SCOPES = 50
MAX_LIFETIME_SECONDS = 10 * 365 * 24 * 3600

resource = Resource("API tokens", "Tokens of the callers.")


def network_fault(text: str) -> str | None:
    """What is wrong with an address or a range."""
    if "%" in text:
        return "must have no zone"  # which can be of any length, and means something on its own host only (RFC 4007)
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return "must be an IP address or a range"
    return None


class Restrictions(Body, kw_only=True):
    """Where a token may be used from."""

    addresses: Annotated[
        list[
            Annotated[
                str,
                described("ip-range", "An IP address, or a range of them.", "203.0.113.0/24"),
                Meta(extra={"check": network_fault}),
            ]
        ],
        Meta(
            description="IP addresses and ranges.",
            min_length=1,
            max_length=MAX_ADDRESSES,
            extra={"items": "IP addresses and ranges such as 203.0.113.0/24"},
        ),
    ]


class NewToken(AccountFilter, kw_only=True):
    """A new API token. An absent field sets no limit; an empty one is refused."""

    description: Annotated[
        str,
        Meta(description="What it is for.", examples=["order desk"], min_length=1, max_length=1024, pattern=NOT_BLANK),
    ]
    scopes: Annotated[
        list[Scope],
        Meta(
            description="What the token allows.",
            examples=[["oauth-token"]],
            min_length=1,
            max_length=MAX_SCOPES,
            extra={"items": f"words of [{', '.join(Scope)}]"},
        ),
    ]
    restrictions: (
        Annotated[
            Restrictions,
            Meta(extra={"empty": "must be an object with addresses, a list of IP addresses and ranges"}),
        ]
        | UnsetType
    ) = UNSET
    expires: (
        Annotated[RequestTimestamp, Meta(description="When it expires.", extra={"empty": NOT_A_TIMESTAMP})] | UnsetType
    ) = UNSET
    ttl: (
        Annotated[
            int,
            Meta(
                description="Seconds until it expires, instead of `expires`.",
                examples=[7_776_000],
                ge=1,
                le=MAX_LIFETIME_SECONDS,
                extra={"empty": f"must be a whole number from 1 to {MAX_LIFETIME_SECONDS}"},
            ),
        ]
        | UnsetType
    ) = UNSET


class IssuedToken(Answer, kw_only=True):
    """The new token. It is shown only once."""

    token: Annotated[SecretText, Meta(description="64 hexadecimal characters.", examples=["9c1f"])]
    id: Id


class TokenRestrictions(Answer, kw_only=True):
    """Where a token may be used from."""

    addresses: Annotated[list[str], Meta(description="IP addresses and ranges.", examples=[["203.0.113.0/24"]])]


class ApiToken(Answer, kw_only=True):
    """An API token as administrators see it."""

    id: Id
    description: Annotated[str, Meta(description="What it is for.", examples=["order desk"])]
    scopes: list[Scope]
    accounts: AccountIds | None
    account_prefix: (
        Annotated[str, Meta(description="Every account whose id begins with it.", examples=["tenant1-"])] | None
    )
    restrictions: TokenRestrictions | None
    created: Annotated[Timestamp, Meta(description="When it was issued.")]
    created_by: Annotated[str, Meta(description="Who created it.", examples=["administrator"])]
    expires: Annotated[Timestamp, Meta(description="When it expires; null for never.")] | None
    last_used: Annotated[Timestamp, Meta(description="When it was last used, to the hour.")] | None


class TokenPage(Answer, kw_only=True):
    """A page of API tokens."""

    total: Total
    page: Page
    pages: Pages
    tokens: Annotated[list[ApiToken], Meta(description="The tokens.")]


class RevokedToken(Answer, kw_only=True):
    """The token is revoked, or there was none with this id."""

    deleted: WasThere


@resource.post("/v1/token", Action.ISSUE_TOKEN, Scope.ADMIN, refusals=[400])
async def issue_token(app: App, caller: Caller, body: NewToken, faults: Faults) -> IssuedToken:
    """Issue an API token.

    Creates an API token. It is shown only once.
    """
    restrictions = body.restrictions or None
    wish = api_tokens.TokenWish(
        description=body.description or "",
        scopes=frozenset(body.scopes or ()),
        binding=binding_of(body, faults),
        addresses=tuple(str(ipaddress.ip_network(text)) for text in (restrictions and restrictions.addresses) or ()),
        expires=_expiry(body, app.clock(), faults),
    )
    issued = await api_tokens.issue_token(app, wish, faults, caller)
    add_to_audit(target=issued.id)
    return IssuedToken(token=issued.token, id=issued.id)


@resource.get("/v1/tokens", Action.LIST_TOKENS, Scope.ADMIN, refusals=[400])
async def list_tokens(app: App, query: PageQuery) -> TokenPage:
    """List API tokens.

    Lists API tokens, newest first.
    """
    found = sorted(await app.stores.api_tokens.all(), key=lambda token: token.created, reverse=True)
    shown = found[query.number * query.size : (query.number + 1) * query.size]
    return TokenPage(
        total=len(found),
        page=query.number,
        pages=page_count(len(found), query.size),
        tokens=[*map(describe, shown)],
    )


@resource.delete("/v1/token/{token}", Action.REVOKE_TOKEN, Scope.ADMIN, refusals=[409])
async def revoke_token(app: App, caller: Caller, token_id: Id) -> RevokedToken:
    """Revoke an API token.

    Takes the token's id, which is its SHA-256. The token stops working within 30 seconds.
    """
    revoked = await api_tokens.revoke_token(app, token_id, caller)
    add_to_audit(target=revoked)
    return RevokedToken(deleted=revoked is not None)


def describe(token: callers.ApiToken) -> ApiToken:
    """A token as administrators see it; the token itself is not known any more."""
    return ApiToken(
        id=token.id,
        description=token.description,
        scopes=sorted(token.scopes),
        **filter_fields(token.binding),
        restrictions=TokenRestrictions(addresses=list(token.addresses)) if token.addresses else None,
        created=moment(token.created),
        created_by=token.created_by,
        expires=moment(token.expires),
        last_used=moment(token.last_used),
    )


def _expiry(body: NewToken, now: datetime, faults: Faults) -> datetime | None:
    if body.ttl and body.expires:
        faults.add("ttl", 'cannot be given together with "expires"')
    return now + timedelta(seconds=body.ttl) if body.ttl else body.expires or None
