"""/v1/token and /v1/tokens: issue, list and revoke API tokens."""

import ipaddress
import math
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import azure.functions as func

from shared.domain.audit import Action
from shared.domain.caller import ApiToken, Caller, Scope
from shared.domain.errors import NotFound
from shared.http.audit import about
from shared.http.callers import Callers, for_callers
from shared.http.responses import answer, moment
from shared.http.routes import Routes
from shared.ports import ApiTokens, Clock
from shared.triggers.account_filter import MOST, described, read_filter
from shared.triggers.fields import A_MOMENT, Fields, read_object
from shared.usecases.callers.api_tokens import Issued, TokenWish

SCOPES = [scope.value for scope in Scope]
LONGEST_LIFE = 10 * 365 * 24 * 3600


def blueprint(
    callers: Callers,
    tokens: ApiTokens,
    issue: Callable[..., Awaitable[Issued]],
    revoke: Callable[..., Awaitable[str | None]],
    clock: Clock,
) -> Routes:
    """The routes; all of them are for administrators."""
    routes = Routes()

    @routes.post("v1/token")
    @for_callers(callers, Action.ISSUE_TOKEN, Scope.ADMIN)
    async def issue_token(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
        wish, faults = read_wish(read_object(req), clock())
        issued = await issue(wish, faults, caller)
        about(target=issued.id)
        return answer({"token": issued.token.reveal(), "id": issued.id})

    @routes.get("v1/tokens")
    @for_callers(callers, Action.LIST_TOKENS, Scope.ADMIN)
    async def list_tokens(req: func.HttpRequest, _: Caller) -> func.HttpResponse:
        fields = Fields(req.params)
        page, size = fields.paging()
        fields.refuse_faults()
        found = sorted(await tokens.all(), key=lambda token: token.created, reverse=True)
        shown = found[page * size : (page + 1) * size]
        total = len(found)
        body = {"total": total, "page": page, "pages": math.ceil(total / size), "tokens": [*map(describe, shown)]}
        return answer(body)

    @routes.delete("v1/token/{token}")
    @for_callers(callers, Action.REVOKE_TOKEN, Scope.ADMIN)
    async def revoke_token(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
        revoked = await revoke(req.route_params["token"], caller)
        if revoked is None:
            raise NotFound("No such API token")
        about(target=revoked)
        return answer({"deleted": True})

    return routes


def describe(token: ApiToken) -> dict[str, Any]:
    """A token as administrators see it; the token itself is not known any more."""
    return {
        "id": token.id,
        "description": token.description,
        "scopes": sorted(token.scopes),
        **described(token.binding),
        "restrictions": {"addresses": list(token.addresses)} if token.addresses else None,
        "created": moment(token.created),
        "createdBy": token.created_by,
        "expires": moment(token.expires),
        "lastUsed": moment(token.last_used),
    }


def read_wish(body: Mapping[str, Any], now: datetime) -> tuple[TokenWish, dict[str, str]]:
    """The fields, and what was wrong with them.

    Whatever narrows a token has to say so: an empty value is a fault here, never a token without limits.
    """
    fields = Fields(body)
    description = fields.text("description", longest=1024)
    if not description:
        fields.fault("description", "is required")
    scopes = fields.texts("scopes", SCOPES.__contains__, f"words of [{', '.join(SCOPES)}]", MOST)
    if "scopes" not in body:
        fields.fault("scopes", "is required")
    wish = TokenWish(
        description=description or "",
        scopes=frozenset(map(Scope, scopes)),
        binding=read_filter(fields, "leave it out for a token that reaches all of them"),
        addresses=_addresses(fields),
        expires=_expires(fields, now),
    )
    return wish, fields.finish()


def _addresses(fields: Fields) -> tuple[str, ...]:
    inner = fields.take("restrictions")
    if "restrictions" not in fields.values:
        return ()
    if not isinstance(inner, dict) or set(inner) != {"addresses"}:
        fields.fault("restrictions", "must be an object with addresses, a list of IP addresses and ranges")
        return ()
    within = Fields(inner)
    networks = within.texts("addresses", _is_network, "IP addresses and ranges such as 203.0.113.0/24", MOST)
    fields.faults.update({f"restrictions.{name}": fault for name, fault in within.faults.items()})
    return tuple(str(ipaddress.ip_network(network)) for network in networks)


def _expires(fields: Fields, now: datetime) -> datetime | None:
    when, seconds = fields.moment("expires"), fields.number("ttl", 0, 1, LONGEST_LIFE)
    if "ttl" in fields.values:
        if not seconds:
            fields.fault("ttl", f"must be a whole number from 1 to {LONGEST_LIFE}")
        if "expires" in fields.values:
            fields.fault("ttl", 'cannot be given together with "expires"')
        return now + timedelta(seconds=seconds) if seconds else None
    if "expires" in fields.values and when is None:
        fields.fault("expires", A_MOMENT)
    return when


def _is_network(text: str) -> bool:
    if "%" in text:
        return False  # a zone, which may be of any length, means something on its own host only (RFC 4007 section 6)
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
