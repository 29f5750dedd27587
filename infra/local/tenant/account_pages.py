"""The pages for signing out, and for an administrator's consent on behalf of everybody.

https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc#send-a-sign-out-request
https://learn.microsoft.com/entra/identity-platform/v2-admin-consent
"""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from infra.local.tenant.authorize_request import ReturnAddress, read_return_address
from infra.local.tenant.discovery import check_tenant
from infra.local.tenant.error_responses import entra_error_body
from infra.local.tenant.failures import Refusal, find_failure
from infra.local.tenant.pages import error_page, render_page
from infra.local.tenant.scopes import read_scopes
from infra.local.tenant.sessions import delete_sessions
from infra.local.tenant.tenant import Tenant


class AccountPages:
    """GET /{tenant}/oauth2/v2.0/logout and /{tenant}/adminconsent."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    async def sign_out(self, request: Request) -> Response:
        """Sign the browser out. This revokes no refresh token.

        https://learn.microsoft.com/entra/identity-platform/refresh-tokens#token-revocation
        """
        target, state = (request.query_params.get(name) for name in ("post_logout_redirect_uri", "state"))
        registered = target and any(client.accepts(target) for client in self._tenant.directory.clients.values())
        response: Response = render_page(self._tenant, "signed_out.html")
        if target and registered:
            response = RedirectResponse(f"{target}?state={state}" if state else target, 302)
        delete_sessions(response)
        self._tenant.note("signed out")
        return response

    async def admin_consent(self, request: Request) -> Response:
        """Ask an administrator for consent, then redirect with `admin_consent=True` or an error."""
        try:
            check_tenant(self._tenant, request.path_params["tenant"])
            return_address = read_return_address(self._tenant, request.query_params)
            client = return_address.client
            scope = request.query_params.get("scope") or " ".join(client.permissions)
            scopes = read_scopes(scope, client, self._tenant.directory, self._tenant.origin)
        except Refusal as refusal:
            return error_page(self._tenant, refusal)
        addresses = sorted({scope.address for scope in scopes.permissions})
        if request.method == "GET":
            return render_page(self._tenant, "admin.html", client=client.name, scopes=addresses)
        accepted = (await request.form()).get("consent") == "accept"
        return self._accept(return_address, addresses) if accepted else self._decline(return_address)

    def _accept(self, return_address: ReturnAddress, scopes: list[str]) -> Response:
        for person in list(self._tenant.directory.people.values()):
            self._tenant.directory.add_consent(person, return_address.client, scopes)
        self._tenant.note("admin consented", client=return_address.client.id)
        tenant_id = self._tenant.directory.tenant_id
        fields = {"admin_consent": "True", "tenant": tenant_id, "scope": " ".join(scopes)}
        return return_address.respond(self._tenant, fields)

    def _decline(self, return_address: ReturnAddress) -> Response:
        self._tenant.note("admin consent declined", client=return_address.client.id)
        body = entra_error_body(self._tenant, find_failure("entra", "65004"), {})
        fields = {name: body[name] for name in ("error", "error_description")}
        return return_address.respond(self._tenant, {**fields, "error_subcode": "cancel"})
