"""The route that comes last: it answers requests whose path or method no other route takes.

The host would answer 404 with an empty body. This answers in the error shape, or with a page for a browser. It asks for
no token, reads no storage, and looks at nothing but method, path and Accept.
"""

import re
from collections.abc import Sequence
from http import HTTPMethod

import azure.functions as func

from shared.browser.pages import error_page
from shared.http.audit import Audit, correlated
from shared.http.bounds import has_encoded_slash
from shared.http.operations import add_function
from shared.http.refusals import MethodNotAllowed, NoSuchRoute
from shared.http.responses import HTML, NO_STORE_HEADERS, problem, reply
from shared.http.routes import Route
from shared.ports import App

API = re.compile(r"v1(\.0)?(/|$)", re.IGNORECASE)


def blueprint(app: App, audit: Audit, declared: Sequence[Route]) -> func.Blueprint:
    """The function. `declared` are all other routes."""

    async def answer_unmatched(req: func.HttpRequest) -> func.HttpResponse:
        audit.correlate(req)
        path = req.route_params.get("path") or ""  # the host leaves out what matched nothing
        return _answer(req, path, [] if has_encoded_slash(req) else allowed_methods(declared, path), app)

    blueprint, name = func.Blueprint(), answer_unmatched.__name__
    add_function(blueprint, Route((), "{*path}"), name, correlated(name, answer_unmatched))
    return blueprint


def allowed_methods(declared: Sequence[Route], path: str) -> list[str]:
    """The methods that some route answers at this path; OPTIONS among them, because the last route does."""
    methods = {str(method) for route in declared if route.fits(path) for method in route.methods}
    return sorted({*methods, HTTPMethod.OPTIONS.value}) if methods else []


def _answer(req: func.HttpRequest, path: str, allowed: Sequence[str], app: App) -> func.HttpResponse:
    if allowed and req.method == HTTPMethod.OPTIONS:
        # No Access-Control header: pages of other origins may not call (Fetch section 3.3.3).
        return reply(None, 204, {**NO_STORE_HEADERS, "Allow": ", ".join(allowed)})
    refusal = MethodNotAllowed(allowed) if allowed else NoSuchRoute()
    is_browser = HTML in req.headers.get("Accept", "")
    return error_page(app, refusal) if is_browser and not API.match(path) else problem(refusal)
