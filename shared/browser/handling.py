"""Answers requests of browsers: bounds, rate limit, audit record, and a page for every exception."""

from dataclasses import dataclass
from functools import partial

import azure.functions as func

from shared.browser.pages import error_page
from shared.http.audit import Audit, add_to_audit, correlated, outcome_of
from shared.http.bounds import PAGE_BOUNDS, check_bounds
from shared.http.limits import RequestLimits
from shared.http.operations import Operation
from shared.http.refusals import refusal_of
from shared.http.responses import Handler
from shared.ports import App


@dataclass(frozen=True, slots=True)
class BrowserHandling:
    """Makes the host's handlers of operations. No exception leaves them: the host would answer with an empty body."""

    app: App
    audit: Audit
    limits: RequestLimits

    def handler_of(self, operation: Operation) -> Handler:
        """The host's handler of an operation, which takes `app` and `request` and answers with a page."""
        return correlated(operation.handler.__name__, partial(self._respond, operation))

    async def _respond(self, operation: Operation, req: func.HttpRequest) -> func.HttpResponse:
        assert operation.action is not None  # noqa: S101 - narrows the type
        with self.audit.request(req, operation.action):
            try:
                check_bounds(req, PAGE_BOUNDS)
                if operation.browser_limit is not None:
                    operation.browser_limit(self.limits, req)
                response: func.HttpResponse = await operation.handler(app=self.app, request=req)
            except Exception as error:  # noqa: BLE001 - see the class
                refusal = refusal_of(error)
                add_to_audit(outcome=outcome_of(refusal), code=refusal.code)
                return error_page(self.app, refusal)
            return response
