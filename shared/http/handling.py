"""Answers requests of the API: identifies the caller, checks their rights, decodes, calls the handler, and encodes."""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import azure.functions as func

from shared.domain.audit import Action
from shared.domain.caller import Caller
from shared.domain.errors import ForbiddenAddress, InvalidInput, Unauthorized
from shared.domain.secret import Secret
from shared.http.audit import Audit, add_to_audit, correlated, outcome_of
from shared.http.bounds import check_bounds
from shared.http.client_address import client_address
from shared.http.decoding import Faults, decode, read_object
from shared.http.limits import RequestLimits
from shared.http.operations import Operation
from shared.http.refusals import InvalidJson, refusal_of
from shared.http.responses import Answered, Handler, answer, problem
from shared.ports import App
from shared.usecases.callers.identify import identify_caller


@dataclass(frozen=True)
class ApiHandling:
    """Makes the host's handlers of operations. No exception leaves them: the host would answer with an empty body."""

    app: App
    audit: Audit
    limits: RequestLimits

    def handler_of(self, operation: Operation) -> Handler:
        """The host's handler of an operation."""
        respond = self._for_callers if operation.scopes else self._for_everybody
        return correlated(operation.handler.__name__, partial(respond, operation))

    async def _for_everybody(self, operation: Operation, req: func.HttpRequest) -> func.HttpResponse:
        self.audit.correlate(req)
        try:
            check_bounds(req, operation.bounds)
            return await self._respond(operation, req, None)
        except Exception as error:  # noqa: BLE001 - see the class
            return problem(refusal_of(error))

    async def _for_callers(self, operation: Operation, req: func.HttpRequest) -> func.HttpResponse:
        assert operation.action is not None  # noqa: S101 - narrows the type
        with self.audit.request(req, operation.action):
            started = self.app.clock()
            response = await self._answer_caller(operation, req)
            if operation.action is Action.USE_MAILBOX:
                duration_ms = round((self.app.clock() - started) / timedelta(milliseconds=1))
                name = operation.handler.__name__
                add_to_audit(operation=name, status=response.status_code, duration_ms=duration_ms)
            return response

    async def _answer_caller(self, operation: Operation, req: func.HttpRequest) -> func.HttpResponse:
        try:
            check_bounds(req, operation.bounds)
            caller = await identified_caller(self.app, self.limits, req)
            add_to_audit(actor=caller.id)
            caller.require_scope(*operation.scopes)
            if not operation.checks_reach:
                _check_reach(caller, req.route_params.get("account"))
            return await self._respond(operation, req, caller)
        except Exception as error:  # noqa: BLE001 - see the class
            refusal = refusal_of(error)
            add_to_audit(outcome=outcome_of(refusal), code=refusal.code)
            return problem(refusal)

    async def _respond(self, operation: Operation, req: func.HttpRequest, caller: Caller | None) -> func.HttpResponse:
        result = await operation.handler(**self._arguments(operation, req, caller))
        if isinstance(result, func.HttpResponse):
            return result
        if isinstance(result, Answered):
            return answer(result.body, result.status or operation.status, result.headers)
        return answer(result, operation.status)

    def _arguments(self, operation: Operation, req: func.HttpRequest, caller: Caller | None) -> dict[str, Any]:
        """The handler's arguments, by name. Counts the request under its rate limit.

        Raises InvalidInput with every fault unless the handler takes `faults` itself.
        """
        types, faults = operation.types, Faults()
        arguments: dict[str, Any] = {"app": self.app, "caller": caller, "request": req, "faults": faults}
        arguments["identify"] = partial(identified_caller, self.app, self.limits, req)
        arguments |= {f"{name}_id": value for name, value in req.route_params.items()}
        values = self._counted_body(operation, req, caller)
        if "body" in types:
            arguments["body"] = decode(types["body"], values, faults)
        if "query" in types:
            arguments["query"] = decode(types["query"], req.params, faults)
        if "faults" not in types:
            faults.refuse()
        return {name: value for name, value in arguments.items() if name in types}

    def _counted_body(self, operation: Operation, req: func.HttpRequest, caller: Caller | None) -> dict[str, Any]:
        """The body, counted under the rate limit; anything but a JSON object counts once.

        Raises InvalidJson, InvalidInput and TooManyRequests.
        """
        is_read = "body" in operation.types and (req.get_body() or not operation.body_optional)
        try:
            values = read_object(req) if is_read else {}
        except (InvalidJson, InvalidInput):
            self._count(operation, req, caller, 1)
            raise
        self._count(operation, req, caller, operation.weight(values))
        return values

    def _count(self, operation: Operation, req: func.HttpRequest, caller: Caller | None, weight: int) -> None:
        if operation.uses_form_limit and caller is not None:
            self.limits.form(req, caller.id, weight)


async def identified_caller(app: App, limits: RequestLimits, req: func.HttpRequest) -> Caller:
    """Identify the caller. Raises Unauthorized, TooManyRequests for too many of these, Forbidden, Unavailable."""
    try:
        return await identify_caller(app, _bearer(req), client_address(req, app.config.proxies))
    except Unauthorized:
        limits.bad_token(req)
        raise
    except ForbiddenAddress as error:
        add_to_audit(actor=error.caller_id)
        raise


def _bearer(req: func.HttpRequest) -> Secret:
    """The token of the Authorization header; in a URL it would end up in logs (RFC 6750 section 2.3)."""
    scheme, _, token = req.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized("Missing authentication")
    return Secret(token.strip())


def _check_reach(caller: Caller, account: str | None) -> None:
    if account is None:
        caller.require_all_accounts()
    else:
        caller.require_account(account)
