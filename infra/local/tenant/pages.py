"""Renders the tenant's pages, which are plain forms, from the templates in pages/."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from starlette.responses import HTMLResponse

from infra.local.tenant.error_responses import entra_error_body
from infra.local.tenant.failures import Refusal, find_failure
from infra.local.tenant.tenant import Tenant

_TEMPLATES = Environment(loader=FileSystemLoader(Path(__file__).with_name("pages")), autoescape=True)


def render_page(tenant: Tenant, template: str, *, status: int = 200, **values: object) -> HTMLResponse:
    """Render a template as a page that is not cached."""
    text = _TEMPLATES.get_template(template).render(tenant=tenant.directory.name, **values)
    return HTMLResponse(text, status, {"Cache-Control": "no-store"})


def error_page(tenant: Tenant, refusal: Refusal) -> HTMLResponse:
    """Show the error to the person. The app does not learn of it.

    https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#error-response
    """
    tenant.note("failed", endpoint="authorize", failure=refusal.key)
    message = entra_error_body(tenant, find_failure("entra", refusal.key), refusal.details)["error_description"]
    return render_page(tenant, "error.html", status=400, message=message)
