"""Renders the templates: escaped, without scripts, with one inline stylesheet under a nonce."""

import base64
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import azure.functions as func

from shared.browser.refusals import OTHER_ACCOUNT_HELPS, STATUSES
from shared.domain.audit import correlation_id
from shared.domain.errors import InternalError, MailbindError
from shared.domain.formats import same_address
from shared.domain.remedy import Reader, remedy
from shared.http.refusals import refusal_of, status_of
from shared.http.responses import HTML, refusal_headers, reply
from shared.ports import App, Entropy
from shared.usecases.sign_in.link import BROWSER_MISMATCH

if TYPE_CHECKING:
    from jinja2 import Environment

RETRY_AFTER_SECONDS = "10"
# What the page of a refusal can offer.
OFFERS: Mapping[str, None] = dict.fromkeys(
    (
        *("email", "registration_id", "app_id", "confirmation", "keep", "finish", "look", "compared"),
        *("consent_url", "back_url", "site"),
    )
)
BARE_PAGE = "<!doctype html><title>Mailbind</title><p>Something went wrong in Mailbind. Try again in a moment.</p>"


def page(
    app: App,
    template: str,
    *,
    status: int = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
    **values: Any,  # noqa: ANN401 - whatever the template shows
) -> func.HttpResponse:
    """The answer that shows a template."""
    html, page_headers = render(app.entropy, template, **values)
    return reply(html, status, {**page_headers, **(headers or {})}, HTML)


def refusal_page(
    app: App,
    code: str,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    **offers: Any,  # noqa: ANN401 - as above
) -> func.HttpResponse:
    """The page that says what went wrong and what to do, with the buttons and links of `offers` (see OFFERS)."""
    status = STATUSES.get(code, HTTPStatus.FORBIDDEN) if status is None else status
    retry_later = {"Retry-After": RETRY_AFTER_SECONDS} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return page(
        app,
        "refused",
        status=status,
        headers={**retry_later, **(headers or {})},
        remedy=remedy(code, Reader.PERSON),
        code=code,
        # Safari keeps no Secure cookie of a page that came over http, not even from this machine.
        is_over_http=code == BROWSER_MISMATCH and app.config.base_url.startswith("http:"),
        # The operator finds the line in the log by it.
        correlation=correlation_id() if code == InternalError.code else None,
        sign_in_label="Sign in with another account" if code in OTHER_ACCOUNT_HELPS else "Try again",
        **{**OFFERS, **offers},
    )


def error_page(app: App, error: MailbindError) -> func.HttpResponse:
    """The page of an error. It reads nothing from storage; if it cannot be rendered either, the answer is BARE_PAGE."""
    try:
        return refusal_page(
            app, error.code or "unknown_failure", status=status_of(error), headers=refusal_headers(error)
        )
    except Exception as rendering_error:  # noqa: BLE001 - the rendering itself may be what failed
        refusal_of(rendering_error)
        return reply(BARE_PAGE, 500, private_headers(""), HTML)


def render(entropy: Entropy, template: str, **values: Any) -> tuple[str, dict[str, str]]:  # noqa: ANN401 - as above
    """The HTML of a template, and its headers."""
    nonce = base64.b64encode(entropy(18)).decode()
    html = _environment().get_template(f"{template}.html").render(nonce=nonce, **values)
    return html, private_headers(nonce)


def private_headers(nonce: str) -> dict[str, str]:
    """Headers of a page that holds something private.

    `form-action` allows all of https, because browsers apply it to redirects too, and Entra may redirect a sign-in to
    any identity provider (CSP Level 3 section 6.4.2).
    """
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self' https:;"
        " base-uri 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex",
    }


@cache
def _environment() -> "Environment":
    # Imported here because the API does without it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - see above

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.tests["same_address"] = same_address
    return environment
