"""A request to the authorize endpoint, validated, and the address that its outcome goes to."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from starlette.responses import RedirectResponse, Response

from infra.local.tenant.entities import Client
from infra.local.tenant.failures import Refusal
from infra.local.tenant.grants import s256_challenge
from infra.local.tenant.pages import render_page
from infra.local.tenant.scopes import Scopes, read_scopes
from infra.local.tenant.tenant import Tenant

RESPONSE_MODES = ("query", "fragment", "form_post")
PROMPTS = ("", "login", "none", "consent", "select_account")


@dataclass(frozen=True, slots=True)
class ReturnAddress:
    """Where the browser goes with the outcome, and by which response mode."""

    client: Client
    redirect_uri: str
    mode: str
    state: str | None

    def respond(self, tenant: Tenant, fields: Mapping[str, str | None]) -> Response:
        """Return these fields and the state to the app, by a redirect or by a form that submits itself."""
        sent_fields = {name: value for name, value in {**fields, "state": self.state}.items() if value is not None}
        if self.mode == "form_post":
            return render_page(tenant, "form_post.html", address=self.redirect_uri, fields=sent_fields)
        parts = urlsplit(self.redirect_uri)
        if self.mode == "fragment":
            return RedirectResponse(parts._replace(fragment=urlencode(sent_fields)).geturl(), 302)
        query = "&".join(filter(None, (parts.query, urlencode(sent_fields))))
        return RedirectResponse(parts._replace(query=query).geturl(), 302)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizeRequest:
    """The parameters of an authorize request. `challenge` is the S256 challenge, or empty without PKCE."""

    scope: str
    scopes: Scopes
    nonce: str
    challenge: str
    prompt: str
    login_hint: str
    claims: str | None
    client_info: bool


def read_return_address(tenant: Tenant, query: Mapping[str, str]) -> ReturnAddress:
    """Read the app and its return address. A Refusal from here is shown to the person, not returned to the app."""
    client_id, redirect_uri = query.get("client_id", ""), query.get("redirect_uri", "")
    if not client_id:
        raise Refusal("900144", parameter="client_id")
    client = tenant.directory.clients.get(client_id)
    if client is None:
        raise Refusal("700016", client=client_id)
    if not redirect_uri:
        raise Refusal("900971")
    if not client.accepts(redirect_uri):
        raise Refusal("50011", redirect_uri=redirect_uri, client=client_id)
    mode = query.get("response_mode", "query")
    return ReturnAddress(client, redirect_uri, mode if mode in RESPONSE_MODES else "query", query.get("state"))


def read_authorize_request(tenant: Tenant, query: Mapping[str, str], client: Client) -> AuthorizeRequest:
    """Read the other parameters. A Refusal from here is returned to the app.

    https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#request-an-authorization-code
    """
    if query.get("response_mode", "query") not in RESPONSE_MODES:
        raise Refusal("70007", parameter=query["response_mode"])
    for required in ("response_type", "scope"):
        if not query.get(required):
            raise Refusal("900144", parameter=required)
    if query["response_type"] != "code":
        raise Refusal("70005", parameter=query["response_type"])
    if query.get("prompt", "") not in PROMPTS:
        raise Refusal("90023", parameter=query["prompt"])
    return AuthorizeRequest(
        scope=query["scope"],
        scopes=read_scopes(query["scope"], client, tenant.directory, tenant.origin),
        nonce=query.get("nonce", ""),
        challenge=_challenge(query),
        prompt=query.get("prompt", ""),
        login_hint=query.get("login_hint", ""),
        claims=query.get("claims"),
        client_info=query.get("client_info") == "1",
    )


def _challenge(query: Mapping[str, str]) -> str:
    """The PKCE challenge as S256, also for the plain method. RFC 7636 section 4.2 has its alphabet and length."""
    challenge, method = query.get("code_challenge", ""), query.get("code_challenge_method", "plain")
    if not challenge:
        return ""
    if method not in ("S256", "plain") or not re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", challenge):
        raise Refusal("501491", parameter=method)
    return challenge if method == "S256" else s256_challenge(challenge)
