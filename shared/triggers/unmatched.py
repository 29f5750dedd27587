"""The route that comes last: what no other route answers, because the path is none of ours or the method does not fit.

The host would answer 404 with nothing in it. This tells the same in the error shape, or as a page where a person is
likely to look at it. It asks for no token, reads no storage and looks at nothing but method, path and Accept.
"""

import re
from collections.abc import Sequence
from http import HTTPMethod

import azure.functions as func

from shared.domain.audit import correlation_id
from shared.domain.errors import MailbindError, NotFound
from shared.http.audit import CORRELATION
from shared.http.refusals import MethodNotAllowed
from shared.http.responses import SEVERE, add_header, problem, reply
from shared.http.routes import Route, Routes
from shared.triggers.browser_pages import BrowserPages

API = re.compile(r"v1(\.0)?(/|$)", re.IGNORECASE)
BROWSERS = re.compile(r"(accounts|oauth|docs|console)(/|$)", re.IGNORECASE)


def blueprint(pages: BrowserPages, declared: Sequence[Route]) -> Routes:
    """The route, which knows all others."""
    routes = Routes()

    @routes.any("{*path}")
    async def answer_unmatched(req: func.HttpRequest) -> func.HttpResponse:
        pages.audit.correlate(req)
        path = req.route_params.get("path") or ""  # the host leaves out what matched nothing
        response = _answer(req, path, allowed_methods(declared, path), pages)
        add_header(response, CORRELATION, correlation_id() or "")
        return response

    return routes


def allowed_methods(declared: Sequence[Route], path: str) -> list[str]:
    """The methods that some route answers at this path; OPTIONS among them, because the last route does."""
    methods = {str(method) for route in declared if route.fits(path) for method in route.methods}
    return sorted({*methods, HTTPMethod.OPTIONS.value}) if methods else []


def _answer(req: func.HttpRequest, path: str, allowed: Sequence[str], pages: BrowserPages) -> func.HttpResponse:
    if allowed and req.method == HTTPMethod.OPTIONS:
        # No Access-Control header: pages of other origins may not call (Fetch section 3.3.3).
        return reply(None, 204, {**SEVERE, "Allow": ", ".join(allowed)})
    refusal: MailbindError = (
        MethodNotAllowed(allowed) if allowed else NotFound("There is no such route; is the address right?")
    )
    is_for_people = BROWSERS.match(path) or "text/html" in req.headers.get("Accept", "")
    return pages.failed(refusal) if is_for_people and not API.match(path) else problem(refusal)
