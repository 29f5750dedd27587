"""The route that comes last: it answers requests whose path or method no other route takes.

The host would answer 404 with an empty body. This answers in the error shape, or with a page where a person is likely
to see it. It asks for no token, reads no storage, and looks at nothing but method, path and Accept.
"""

import re
from collections.abc import Sequence
from http import HTTPMethod

import azure.functions as func

from shared.browser.pages import error_page
from shared.domain.errors import MailbindError, NotFound
from shared.http.audit import Audit, correlated
from shared.http.operations import add_function
from shared.http.refusals import MethodNotAllowed
from shared.http.responses import HTML, NO_STORE_HEADERS, problem, reply
from shared.http.routes import Route
from shared.ports import App

API = re.compile(r"v1(\.0)?(/|$)", re.IGNORECASE)
BROWSERS = re.compile(r"(accounts|oauth|docs|console)(/|$)", re.IGNORECASE)


def blueprint(app: App, audit: Audit, declared: Sequence[Route]) -> func.Blueprint:
    """The function. `declared` are all other routes."""

    async def answer_unmatched(req: func.HttpRequest) -> func.HttpResponse:
        audit.correlate(req)
        path = req.route_params.get("path") or ""  # the host leaves out what matched nothing
        return _answer(req, path, allowed_methods(declared, path), app)

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
    refusal: MailbindError = (
        MethodNotAllowed(allowed) if allowed else NotFound("There is no such route. Check the address")
    )
    is_for_people = BROWSERS.match(path) or HTML in req.headers.get("Accept", "")
    return error_page(app, refusal) if is_for_people and not API.match(path) else problem(refusal)
