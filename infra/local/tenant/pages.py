"""The pages that people see at the tenant: plain forms, rendered from the templates in pages/."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from starlette.responses import HTMLResponse

from infra.local.tenant.answers import entra_error
from infra.local.tenant.failures import Refusal, find
from infra.local.tenant.tenant import Tenant

_TEMPLATES = Environment(loader=FileSystemLoader(Path(__file__).with_name("pages")), autoescape=True)


def page(tenant: Tenant, template: str, *, status: int = 200, **about: object) -> HTMLResponse:
    """Render a template as a page that no cache keeps."""
    text = _TEMPLATES.get_template(template).render(tenant=tenant.directory.name, **about)
    return HTMLResponse(text, status, {"Cache-Control": "no-store"})


def trouble(tenant: Tenant, refusal: Refusal) -> HTMLResponse:
    """Tell the person at the tenant; the application learns nothing (entra-docs v2-oauth2-auth-code-flow.md)."""
    tenant.note("failed", endpoint="authorize", failure=refusal.key)
    failure = find("entra", refusal.key)
    message = entra_error(tenant, failure, refusal.details)["error_description"]
    return page(tenant, "trouble.html", status=400, message=message)
