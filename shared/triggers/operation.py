"""GET /health and GET /v1/stats: how the app is doing."""

from collections.abc import Awaitable, Callable
from typing import Any

import azure.functions as func

from shared.domain.audit import Action
from shared.domain.caller import Caller, Scope
from shared.domain.oauth_app import CircuitBreaker
from shared.domain.remedy import remedy
from shared.http.callers import Callers, for_callers, for_everybody
from shared.http.responses import answer, moment
from shared.http.routes import Routes
from shared.ports import Clock, Health
from shared.usecases.upkeep.statistics import Statistics


def blueprint(
    callers: Callers,
    health: Callable[..., Awaitable[Health]],
    statistics: Callable[..., Awaitable[Statistics]],
    clock: Clock,
) -> Routes:
    """Both routes. Health needs no token, so it tells only whether all is well; statistics tell what is not."""
    routes = Routes()

    @routes.get("health")
    @for_everybody(callers.audit)
    async def get_health(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the binding's name
        seen = await health()
        if seen.storage is not None:
            return answer({"success": False, "storage": seen.storage}, 503, {"Retry-After": "10"})
        # 200 even when Microsoft refuses an OAuth app: taking the instance away would mend no client secret.
        return answer({"success": seen.success, "storage": "ok"})

    @routes.get("v1/stats")
    @for_callers(callers, Action.READ_STATISTICS, Scope.ACCOUNTS_READ)
    async def get_statistics(_: func.HttpRequest, _caller: Caller) -> func.HttpResponse:
        found = await statistics()
        return answer(
            {
                "accounts": _under(found, "accounts"),
                "grants": _under(found, "grants"),
                "due": found.due,
                "overdue": found.overdue,
                "capped": found.capped,
                "oldestOverdueSeconds": found.late(clock()),
                "lastTick": _tick(found),
                "swept": moment(found.counters.swept),
                "mended": found.sweep.mended if found.sweep else 0,
                "sweepFailures": list(found.sweep.failed) if found.sweep else [],
                "breakers": [describe(one) for one in found.breakers],
                "events": {
                    "toFanOut": found.events.to_fan_out,
                    "waiting": found.events.waiting,
                    "parked": found.events.parked,
                },
            }
        )

    return routes


def describe(breaker: CircuitBreaker) -> dict[str, Any]:
    """An OAuth app that Microsoft refuses, and what to do about it."""
    told = remedy(breaker.code)
    return {
        "app": breaker.app,
        "code": breaker.code,
        "aadsts": breaker.aadsts,
        "since": moment(breaker.since),
        "description": told.what,
        "action": told.action,
    }


def _under(found: Statistics, group: str) -> dict[str, int]:
    counts = {name.partition("."): number for name, number in found.counters.counts.items()}
    return {name: number for (head, _, name), number in counts.items() if head == group}


def _tick(found: Statistics) -> dict[str, Any] | None:
    tick = found.tick
    if tick is None:
        return None
    return {
        "began": moment(tick.began),
        "seconds": round(tick.seconds, 3),
        "outcomes": dict(tick.outcomes),
        "handedOver": list(tick.handed_over),
    }
