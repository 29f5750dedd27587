"""GET and POST /v1/account/{account}/oauth-token: hand out an access token."""

import base64
import binascii
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shared.api.field_types import AccountId, AppId, Email, Outlook, SecretText, SignInName, Timestamp
from shared.domain import clouds
from shared.domain.audit import Action
from shared.domain.caller import Scope
from shared.domain.claims_challenge import parse_challenge
from shared.domain.errors import Conflict
from shared.domain.formats import same_address
from shared.domain.secret import Secret, xoauth2
from shared.http.audit import add_to_audit
from shared.http.decoding import Body, Faults
from shared.http.operations import Resource
from shared.http.responses import Answer, moment
from shared.ports import App
from shared.usecases.tokens.hand_out import HandedOut, answer_challenge, hand_out

ROUTE = "/v1/account/{account}/oauth-token"
MAX_CLAIMS_CHARACTERS = 8192

resource = Resource("Access tokens", "Short-lived tokens for a mailbox.")


class MailboxChanged(Conflict):
    """The account opens another mailbox than the caller expects."""

    code = "mailbox_changed"

    def __init__(self) -> None:
        super().__init__(
            "The account opens another mailbox than expectedEmail says, and no token was handed out. Read the account:"
            " GET /v1/account/{account}"
        )


class TokenQuery(Body, kw_only=True):
    """Which access token to return."""

    resource: (
        Annotated[clouds.Resource, Meta(description="The API that the token is for.", examples=["graph"])] | UnsetType
    ) = UNSET
    sasl: (
        Annotated[bool, Meta(description="Whether to add SASL responses for IMAP, POP and SMTP.", examples=[False])]
        | UnsetType
    ) = UNSET
    expected_email: (
        Annotated[
            Email,
            Meta(description="The mailbox that the caller expects. If the account is another one, the answer is 409."),
        ]
        | UnsetType
    ) = UNSET


class ClaimsChallenge(TokenQuery, kw_only=True):
    """The claims challenge with which an API refused a token."""

    claims: Annotated[
        str,
        Meta(
            description="The challenge's claims: JSON, plain or in base64. Members of `access_token` may be acrs,"
            " nbf, xms_rp_ipaddr, capolids and polids.",
            examples=['{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'],
            max_length=MAX_CLAIMS_CHARACTERS,
            extra_json_schema={"format": "claims"},
        ),
    ]


class SaslResponse(Answer, kw_only=True):
    """How to log in by one protocol."""

    host: Annotated[str, Meta(description="The server.", examples=["outlook.office365.com"])]
    port: Annotated[int, Meta(description="Its port.", examples=[993])]
    security: Annotated[str, Meta(description="tls or starttls.", examples=["tls"])]
    user: Email
    xoauth2: Annotated[SecretText, Meta(description="The initial SASL response, ready to send.", examples=["dXNlcj0="])]


class AccessToken(Answer, kw_only=True):
    """An access token that is valid for at least five more minutes."""

    account: AccountId
    user: SignInName
    email: Email
    access_token: Annotated[SecretText, Meta(description="The token. Keep it out of logs.", examples=["eyJ0"])]
    provider: Outlook
    resource: clouds.Resource
    registered_scopes: Annotated[
        list[str], Meta(description="The scopes of the token.", examples=[["Mail.Read.Shared"]])
    ]
    expires: Annotated[Timestamp, Meta(description="When the token expires.")]
    cached: Annotated[bool, Meta(description="Whether Mailbind had the token already.", examples=[True])]
    app: AppId
    sasl: (
        Annotated[dict[str, SaslResponse], Meta(description="SASL responses by protocol: imap, pop, smtp.")] | UnsetType
    ) = UNSET


@resource.get(ROUTE, Action.HAND_OUT, Scope.OAUTH_TOKEN, refusals=[400, 404, 409])
async def get_access_token(app: App, account_id: AccountId, query: TokenQuery, faults: Faults) -> AccessToken:
    """Get an access token.

    Returns an access token for the mailbox that is valid for at least five more minutes.
    """
    wanted = _wanted_resource(query, faults)
    faults.refuse()
    return await _answer(app, query, await hand_out(app, account_id, wanted))


@resource.post(ROUTE, Action.HAND_OUT, Scope.OAUTH_TOKEN, refusals=[400, 404, 409])
async def answer_claims_challenge(
    app: App, account_id: AccountId, body: ClaimsChallenge, faults: Faults
) -> AccessToken:
    """Answer a claims challenge.

    Returns an access token with the claims that an API asked for.
    """
    wanted = _wanted_resource(body, faults)
    claims = _parsed_claims(body.claims, faults) if body.claims else ""
    faults.refuse()
    return await _answer(app, body, await answer_challenge(app, account_id, claims, wanted))


def _wanted_resource(query: TokenQuery, faults: Faults) -> clouds.Resource | None:
    """`sasl` alone means Outlook."""
    if query.sasl and query.resource is clouds.Resource.GRAPH:
        faults.add("sasl", "is for the resource outlook only")
    return query.resource or (clouds.Resource.OUTLOOK if query.sasl else None)


async def _answer(app: App, query: TokenQuery, token: HandedOut) -> AccessToken:
    """The token, and what logs in with it. Raises MailboxChanged for a mailbox that the caller does not expect."""
    if query.expected_email and not same_address(query.expected_email, token.email):
        raise MailboxChanged
    add_to_audit(resource=token.app, cached=token.cached)
    oauth_app = await app.oauth_apps.get(token.app) if query.sasl else None
    return AccessToken(
        account=token.account,
        user=token.sign_in_name,
        email=token.email,
        access_token=token.access_token,
        provider="outlook",
        resource=token.resource,
        registered_scopes=list(token.scopes),
        expires=moment(token.expires),
        cached=token.cached,
        app=token.app,
        sasl=sasl_responses(token, oauth_app.cloud) if oauth_app else UNSET,
    )


def sasl_responses(token: HandedOut, cloud: clouds.Cloud) -> dict[str, SaslResponse]:
    """By protocol that has a scope and a known server: server, user, and the initial response of XOAUTH2.

    IMAP and POP log in as the mailbox (Exchange: "Authenticate an IMAP, POP or SMTP connection using OAuth", shared
    mailboxes). SMTP refuses that, and takes the person, who then sends `MAIL FROM` the mailbox.
    """
    protocols = {
        "imap": ("imap.accessasuser.all", cloud.imap, "tls", token.email),
        "pop": ("pop.accessasuser.all", cloud.pop, "tls", token.email),
        "smtp": ("smtp.send", cloud.smtp, "starttls", token.sign_in_name),
    }
    granted = {scope.rpartition("/")[2].casefold() for scope in token.scopes}
    return {
        name: SaslResponse(
            host=server.host,
            port=server.port,
            security=security,
            user=user,
            xoauth2=Secret(base64.b64encode(xoauth2(user, token.access_token).reveal().encode()).decode()),
        )
        for name, (scope, server, security, user) in protocols.items()
        if server and scope in granted
    }


def _parsed_claims(text: str, faults: Faults) -> str:
    """The claims as APIs hand them over: JSON, or that in base64 or base64url (Entra: claims challenges).

    What is passed on is written again from the members that are known, so that none of the caller's text is.
    """
    try:
        claims = msgspec.json.decode(text if text.startswith("{") else _from_base64(text))
    except (ValueError, binascii.Error, RecursionError):
        claims = None
    if not isinstance(claims, dict) or not claims:
        faults.add("claims", "must be a challenge's claims: a JSON object, as it is or in base64")
        return ""
    parsed, claim_faults = parse_challenge(claims)
    for path, fault in claim_faults.items():
        faults.add(f"claims.{path}" if path else "claims", fault)
    return parsed


def _from_base64(text: str) -> str:
    padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
    return base64.b64decode(padded.translate(str.maketrans("-_", "+/")), validate=True).decode()
