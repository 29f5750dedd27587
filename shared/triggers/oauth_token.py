"""GET and POST /v1/account/{account}/oauth-token: hand out an access token."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import azure.functions as func
import msgspec

from shared.domain.audit import Action
from shared.domain.caller import Caller, Scope
from shared.domain.claims_challenge import parse_challenge
from shared.domain.clouds import Cloud, Resource
from shared.domain.errors import MailboxChanged
from shared.domain.formats import same_address
from shared.domain.secret import xoauth2
from shared.http.audit import about
from shared.http.callers import Callers, for_callers
from shared.http.responses import answer, moment
from shared.http.routes import Routes
from shared.ports import OAuthApps
from shared.triggers.fields import Fields, read_object
from shared.usecases.tokens.hand_out import HandedOut

ROUTE = "v1/account/{account}/oauth-token"
LONGEST_CLAIMS = 8192


@dataclass(frozen=True, slots=True)
class TokenQuery:
    """What kind of token, whether with SASL responses, and the claims of a challenge, if any.

    `expected_email` is the mailbox that the caller believes the account to be.
    """

    resource: Resource | None
    sasl: bool
    claims: str | None = None
    expected_email: str | None = None


def blueprint(
    callers: Callers,
    hand_out: Callable[..., Awaitable[HandedOut]],
    challenge: Callable[..., Awaitable[HandedOut]],
    apps: OAuthApps,
) -> Routes:
    """Both routes."""
    routes = Routes()

    @routes.get(ROUTE)
    @for_callers(callers, Action.HAND_OUT, Scope.OAUTH_TOKEN)
    async def get_oauth_token(req: func.HttpRequest, _: Caller) -> func.HttpResponse:
        query = read_query(req.params)
        return await respond(await hand_out(req.route_params["account"], query.resource), query, apps)

    @routes.post(ROUTE)
    @for_callers(callers, Action.HAND_OUT, Scope.OAUTH_TOKEN)
    async def post_oauth_token(req: func.HttpRequest, _: Caller) -> func.HttpResponse:
        query = read_query(read_object(req), challenged=True)
        token = await challenge(req.route_params["account"], query.claims or "", query.resource)
        return await respond(token, query, apps)

    return routes


def read_query(values: Mapping[str, Any], *, challenged: bool = False) -> TokenQuery:
    """What is asked for. Raises InvalidInput with every fault; `sasl` alone means Outlook."""
    fields = Fields(values)
    named, sasl = fields.one_of("resource", list(Resource)), fields.switch("sasl")
    claims = _claims(fields) if challenged else None
    expected_email = fields.address("expectedEmail")
    if sasl and named == Resource.GRAPH:
        fields.fault("sasl", "is for the resource outlook only")
    fields.refuse_faults()
    return TokenQuery(Resource(named) if named else Resource.OUTLOOK if sasl else None, sasl, claims, expected_email)


async def respond(token: HandedOut, query: TokenQuery, apps: OAuthApps) -> func.HttpResponse:
    """The token, and what logs in with it. Raises MailboxChanged for a mailbox that the caller does not expect."""
    if query.expected_email is not None and not same_address(query.expected_email, token.email):
        raise MailboxChanged
    about(resource=token.app, cached=token.cached)
    body: dict[str, Any] = {
        "account": token.account,
        "user": token.sign_in_name,
        "email": token.email,
        "accessToken": token.access_token.reveal(),
        "provider": "outlook",
        "resource": token.resource,
        "registeredScopes": list(token.scopes),
        "expires": moment(token.expires),
        "cached": token.cached,
        "app": token.app,
    }
    app = await apps.get(token.app) if query.sasl else None
    if app is not None:
        body["sasl"] = sasl_responses(token, app.cloud)
    return answer(body)


def sasl_responses(token: HandedOut, cloud: Cloud) -> dict[str, Any]:
    """By protocol, as far as the scopes go: server, user, and the initial response of XOAUTH2.

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
        name: {
            "host": server.host,
            "port": server.port,
            "security": security,
            "user": user,
            "xoauth2": base64.b64encode(xoauth2(user, token.access_token).reveal().encode()).decode(),
        }
        for name, (scope, server, security, user) in protocols.items()
        if scope in granted
    }


def _claims(fields: Fields) -> str | None:
    """The claims as APIs hand them over: JSON, or that in base64 or base64url (Entra: claims challenges).

    What is passed on is written again from the members that are known, so that none of the caller's text is.
    """
    text = fields.text("claims", longest=LONGEST_CLAIMS)
    try:
        plain = text if text is None or text.startswith("{") else _from_base64(text)
        claims = msgspec.json.decode(plain) if plain is not None else None
    except (ValueError, binascii.Error, RecursionError):
        claims = None
    if not isinstance(claims, dict) or not claims:
        fields.fault("claims", "must be a challenge's claims: a JSON object, as it is or in base64")
        return None
    built, faults = parse_challenge(claims)
    fields.faults.update(faults)
    return built


def _from_base64(text: str) -> str:
    padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
    return base64.b64decode(padded.translate(str.maketrans("-_", "+/")), validate=True).decode()
