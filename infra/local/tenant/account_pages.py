"""Signing out, and an administrator's consent for everybody (entra-docs v2-protocols-oidc.md, v2-admin-consent.md)."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from infra.local.tenant.answers import entra_error
from infra.local.tenant.authorize_request import ReturnAddress, read_return_address
from infra.local.tenant.discovery import check_tenant
from infra.local.tenant.failures import Refusal, find
from infra.local.tenant.pages import page, trouble
from infra.local.tenant.scopes import read_scopes
from infra.local.tenant.sessions import forget_sessions
from infra.local.tenant.tenant import Tenant


class AccountPages:
    """GET /{tenant}/oauth2/v2.0/logout and /{tenant}/adminconsent."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    async def sign_out(self, request: Request) -> Response:
        """Sign the browser out. Refresh tokens live on: single sign-out revokes none (entra-docs refresh-tokens.md)."""
        target, state = (request.query_params.get(name) for name in ("post_logout_redirect_uri", "state"))
        registered = target and any(client.accepts(target) for client in self._tenant.directory.clients.values())
        answer: Response = page(self._tenant, "signed_out.html")
        if target and registered:
            answer = RedirectResponse(f"{target}?state={state}" if state else target, 302)
        forget_sessions(answer)
        self._tenant.note("signed out")
        return answer

    async def admin_consent(self, request: Request) -> Response:
        """Ask an administrator, then return with `admin_consent=True` or an error."""
        try:
            check_tenant(self._tenant, request.path_params["tenant"])
            back = read_return_address(self._tenant, request.query_params)
            asked = request.query_params.get("scope") or " ".join(back.client.permissions)
            scopes = read_scopes(asked, back.client, self._tenant.directory, self._tenant.origin)
        except Refusal as refusal:
            return trouble(self._tenant, refusal)
        addresses = sorted({scope.address for scope in scopes.permissions})
        if request.method == "GET":
            return page(self._tenant, "admin.html", client=back.client.name, scopes=addresses)
        accepted = (await request.form()).get("consent") == "accept"
        return self._accept(back, addresses) if accepted else self._decline(back)

    def _accept(self, back: ReturnAddress, scopes: list[str]) -> Response:
        for person in list(self._tenant.directory.people.values()):
            self._tenant.directory.consent(person, back.client, scopes)
        self._tenant.note("admin consented", client=back.client.id)
        tid = self._tenant.directory.tenant_id
        return back.respond(self._tenant, {"admin_consent": "True", "tenant": tid, "scope": " ".join(scopes)})

    def _decline(self, back: ReturnAddress) -> Response:
        self._tenant.note("admin consent declined", client=back.client.id)
        body = entra_error(self._tenant, find("entra", "65004"), {})
        return back.respond(self._tenant, {name: body[name] for name in ("error", "error_description")})
