"""GET /health and GET /v1/stats: how the app is doing."""

from typing import Annotated

from msgspec import Meta

from shared.api.field_types import Code, Count, RemedyText, Sentence, Timestamp
from shared.api.oauth_app_answers import RefusedApp
from shared.api.oauth_apps import refused_app
from shared.domain import failure
from shared.domain.audit import Action
from shared.domain.caller import Scope
from shared.domain.remedy import Reader, remedy
from shared.http.operations import Resource
from shared.http.responses import Answer, Answered, moment
from shared.ports import App
from shared.usecases.upkeep.statistics import Statistics, read_health, read_statistics

resource = Resource("Operation", "Health, statistics, and this description.")

Counts = Annotated[dict[str, int], Meta(examples=[{"connected": 3}])]


class Health(Answer, kw_only=True):
    """The health of the app."""

    success: Annotated[bool, Meta(description="Whether all is well.", examples=[True])]
    storage: Annotated[str, Meta(description="ok, or a code that says what is wrong.", examples=["ok"])]


class LastTick(Answer, kw_only=True):
    """The last run of the refresh timer."""

    began: Annotated[Timestamp, Meta(description="When it started.")]
    seconds: Annotated[float, Meta(description="How long it took, in seconds.", examples=[0.4])]
    outcomes: Annotated[Counts, Meta(description="Rows that it worked on, by outcome.", examples=[{"refreshed": 3}])]
    handed_over: Annotated[list[str], Meta(description="The shards that were handed to the queue.", examples=[["007"]])]


class SetupFault(Answer, kw_only=True):
    """A host that the instance that answers cannot reach because of Mailbind's settings."""

    code: Annotated[Code, Meta(examples=["key_vault_setup"])]
    host: Annotated[str, Meta(description="The host.", examples=["https://contoso.vault.azure.net"])]
    reason: Annotated[str, Meta(description="What is wrong.", examples=["host name unknown"])]
    description: Annotated[Sentence, Meta(examples=["Mailbind cannot open a trusted connection to its key vault."])]
    since: Annotated[Timestamp, Meta(description="When it was noticed.")]
    action: Annotated[RemedyText, Meta(examples=["Check MAILBIND_KEY_VAULT_KEY."])]


class EventCounts(Answer, kw_only=True):
    """The numbers of events that are not delivered yet."""

    to_fan_out: Annotated[Count, Meta(description="Events that are not yet queued for their webhooks.")]
    waiting: Annotated[Count, Meta(description="Deliveries that wait.")]
    parked: Annotated[Count, Meta(description="Deliveries that were given up.")]


class Stats(Answer, kw_only=True):
    """Statistics."""

    accounts: Annotated[Counts, Meta(description="Accounts by state.")]
    grants: Annotated[Counts, Meta(description="Grants by kind: hot, idle, stopped.", examples=[{"hot": 3}])]
    due: Annotated[Count, Meta(description="Rows of the agenda that are due.")]
    overdue: Annotated[Count, Meta(description="Rows that have been due for more than two minutes.")]
    capped: Annotated[bool, Meta(description="Whether there are more than were counted.", examples=[False])]
    oldest_overdue_seconds: Annotated[
        float, Meta(description="How long the oldest row has been due, in seconds.", examples=[0])
    ]
    last_tick: LastTick | None
    swept: Annotated[Timestamp, Meta(description="When the daily sweep last counted everything again.")] | None
    mended: Annotated[Count, Meta(description="How many records the last sweep repaired.")]
    sweep_failures: Annotated[
        list[str], Meta(description="The steps of the last sweep that failed.", examples=[["apps"]])
    ]
    breakers: Annotated[list[RefusedApp], Meta(description="OAuth apps that Microsoft refuses.")]
    setup_faults: Annotated[
        list[SetupFault], Meta(description="Hosts that cannot be reached because of Mailbind's settings.")
    ]
    events: EventCounts
    hand_out: Annotated[
        bool,
        Meta(
            description="The setting MAILBIND_HAND_OUT: whether accounts may hand out access tokens.", examples=[True]
        ),
    ]


@resource.get("/health", refusals=[503])
async def get_health(app: App) -> Answered[Health]:
    """Get the health.

    Returns whether all is well; the answer is at most five seconds old. The status is 200 while storage answers, and
    503 when it does not. `success` is false with 200 while Microsoft refuses an OAuth app, or while Mailbind's own
    settings make a service unreachable: GetStats names them. Monitors should read `success`. Accounts that need a
    person do not change it.
    """
    health = await read_health(app)
    if health.storage is not None:
        return Answered(Health(success=False, storage=health.storage), {"Retry-After": "10"}, 503)
    # 200 even when Microsoft refuses an OAuth app: taking the instance away would mend no client secret or setting.
    return Answered(Health(success=health.success, storage="ok"))


@resource.get("/v1/stats", Action.READ_STATISTICS, Scope.ACCOUNTS_READ)
async def get_stats(app: App) -> Stats:
    """Get statistics.

    Returns the numbers of accounts and grants, of rows that are due, and of events that wait; and
    whether the settings let accounts hand out access tokens.
    """
    found = await read_statistics(app)
    return Stats(
        accounts=_counts(found, "accounts"),
        grants=_counts(found, "grants"),
        due=found.due,
        overdue=found.overdue,
        capped=found.capped,
        oldest_overdue_seconds=found.late(app.clock()),
        last_tick=_last_tick(found),
        swept=moment(found.counters.swept),
        mended=found.sweep.mended if found.sweep else 0,
        sweep_failures=list(found.sweep.failed) if found.sweep else [],
        breakers=[refused_app(refused) for refused in found.refused_apps],
        setup_faults=[*map(_setup_fault, found.setup_faults)],
        events=EventCounts(
            to_fan_out=found.events.to_fan_out, waiting=found.events.waiting, parked=found.events.parked
        ),
        hand_out=app.config.hand_out,
    )


def _setup_fault(fault: failure.SetupFault) -> SetupFault:
    text = remedy(fault.code, Reader.OPERATOR)
    return SetupFault(
        code=fault.code,
        host=fault.host,
        reason=fault.reason,
        description=text.what,
        since=moment(fault.since),
        action=text.action,
    )


def _counts(found: Statistics, group: str) -> dict[str, int]:
    counts = {name.partition("."): number for name, number in found.counters.counts.items()}
    return {name: number for (head, _, name), number in counts.items() if head == group}


def _last_tick(found: Statistics) -> LastTick | None:
    tick = found.tick
    if tick is None:
        return None
    return LastTick(
        began=moment(tick.began),
        seconds=round(tick.seconds, 3),
        outcomes=dict(tick.outcomes),
        handed_over=list(tick.handed_over),
    )
