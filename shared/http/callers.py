"""Who may call: every /v1 route names the scopes that open it, and this is where it is decided."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps

import azure.functions as func

from shared.domain.audit import Action, correlation_id
from shared.domain.caller import Caller, Scope
from shared.domain.errors import Unauthorized
from shared.domain.secret import Secret
from shared.http.audit import CORRELATION, Audit, about, outcome_of
from shared.http.bounds import BodyType, check_bounds
from shared.http.client_address import client_address
from shared.http.limits import RequestLimits
from shared.http.refusals import refusal_of
from shared.http.responses import Handler, add_header, problem

type CallerHandler = Callable[[func.HttpRequest, Caller], Awaitable[func.HttpResponse]]


@dataclass(frozen=True, slots=True)
class Callers:
    """Knows callers by their bearer token. `proxies` is how many proxies of ours stand before the platform."""

    identify: Callable[..., Awaitable[Caller]]
    limits: RequestLimits
    audit: Audit
    proxies: int

    async def caller(self, req: func.HttpRequest) -> Caller:
        """Who calls. Raises Unauthorized, TooManyRequests for too many of those, Forbidden and Unavailable."""
        try:
            return await self.identify(_bearer(req), client_address(req, self.proxies))
        except Unauthorized:
            self.limits.bad_token(req)
            raise


def for_callers(
    callers: Callers, action: Action, *scopes: Scope, minds_reach: bool = False
) -> Callable[[CallerHandler], Handler]:
    """Let in callers with one of these scopes, answer refusals with the error envelope, and record both.

    A route with an `{account}` is for callers who may reach that account. Any other is for those who may reach all,
    unless the handler `minds_reach` itself.
    """

    def decorate(handler: CallerHandler) -> Handler:
        @wraps(handler, assigned=("__module__", "__name__", "__qualname__", "__doc__"))
        async def checked(req: func.HttpRequest) -> func.HttpResponse:
            with callers.audit.request(req, action):
                try:
                    check_bounds(req, BodyType.JSON)
                    caller = await callers.caller(req)
                    about(actor=caller.id)
                    caller.require_scope(*scopes)
                    if not minds_reach:
                        _check_reach(caller, req.route_params.get("account"))
                    response = await handler(req, caller)
                except Exception as error:  # noqa: BLE001 - the host would answer with nothing at all
                    refusal = refusal_of(error)
                    about(outcome=outcome_of(refusal), code=refusal.code)
                    response = problem(refusal)
            add_header(response, CORRELATION, correlation_id() or "")
            return response

        del checked.__wrapped__  # the worker would look for a binding named `caller`
        return checked

    return decorate


def for_everybody(audit: Audit) -> Callable[[Handler], Handler]:
    """A route of the API that asks for no token: the same bounds, and the same answers to what goes wrong."""

    def decorate(handler: Handler) -> Handler:
        @wraps(handler)
        async def checked(req: func.HttpRequest) -> func.HttpResponse:
            audit.correlate(req)
            try:
                check_bounds(req, BodyType.JSON)
                response = await handler(req)
            except Exception as error:  # noqa: BLE001 - as above
                response = problem(refusal_of(error))
            add_header(response, CORRELATION, correlation_id() or "")
            return response

        return checked

    return decorate


def _bearer(req: func.HttpRequest) -> Secret:
    """The header is the only place for a token: in a URL it would end up in logs (RFC 6750 section 2.3)."""
    scheme, _, token = req.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized("Missing authentication")
    return Secret(token.strip())


def _check_reach(caller: Caller, account: str | None) -> None:
    if account is None:
        caller.require_all_accounts()
    else:
        caller.require_account(account)
