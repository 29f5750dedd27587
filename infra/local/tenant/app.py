"""The tenant's HTTP routes."""

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from infra.local.tenant.account_pages import AccountPages
from infra.local.tenant.authorize_endpoint import AuthorizeEndpoint
from infra.local.tenant.control import ControlEndpoint
from infra.local.tenant.discovery import DiscoveryEndpoints
from infra.local.tenant.graph import METHODS, GraphEndpoint
from infra.local.tenant.key_vault import KeyVaultEndpoint
from infra.local.tenant.outages import OutageMiddleware
from infra.local.tenant.tenant import Tenant
from infra.local.tenant.token_endpoint import TokenEndpoint

GET_AND_POST = ["GET", "POST"]


def build_app(tenant: Tenant) -> ASGIApp:
    """Build the tenant's HTTP application."""
    discovery, account, graph = DiscoveryEndpoints(tenant), AccountPages(tenant), GraphEndpoint(tenant)
    vault = KeyVaultEndpoint(tenant)
    routes = [
        Route("/{tenant}/v2.0/.well-known/openid-configuration", discovery.configuration),
        Route("/{tenant}/discovery/v2.0/keys", discovery.keys),
        Route("/{tenant}/discovery/keys", discovery.keys),  # for tokens of version 1.0
        Route("/{tenant}/oauth2/v2.0/authorize", AuthorizeEndpoint(tenant).handle, methods=GET_AND_POST),
        Route("/{tenant}/oauth2/v2.0/token", TokenEndpoint(tenant).handle, methods=["POST"]),
        Route("/{tenant}/oauth2/v2.0/logout", account.sign_out),
        Route("/{tenant}/adminconsent", account.admin_consent, methods=GET_AND_POST),
        Route("/{tenant}/v2.0/adminconsent", account.admin_consent, methods=GET_AND_POST),
        Route("/keys/{name}/{version:path}", vault.key),
        Route("/keys/{name}/{version}/wrapkey", vault.wrap, methods=["POST"]),
        Route("/keys/{name}/{version}/unwrapkey", vault.unwrap, methods=["POST"]),
        Route("/v1.0/{path:path}", graph.handle, methods=METHODS),
    ]
    return OutageMiddleware(Starlette(routes=ControlEndpoint(tenant).routes() + routes), tenant)
