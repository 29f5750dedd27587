"""`mailbind health`, `stats` and `settings`."""

from argparse import Namespace
from collections.abc import Mapping

from shared.cli.advice import TROUBLE_STATES, advice, faults, parked_events
from shared.cli.api import Api
from shared.cli.arguments import AddParser, add_command
from shared.cli.output import Result, Trouble, red, relative_time, summary, values


def add_commands(add: AddParser) -> None:
    """Declare the commands of this file."""
    add_command(add, "health", health, "check whether all is well")
    add_command(add, "stats", stats, "show statistics")
    add_command(add, "settings", settings, "show the settings: the global webhook")


def health(api: Api, _: Namespace) -> Result:
    """Check the health, and say what is wrong. Succeeds if all is well."""
    body = api.health()
    if body["success"]:
        return Result(body, "All is well.")
    if body["storage"] != "ok":
        error = {"code": body["storage"], "description": body["storage"], "action": "Look at the log."}
        return Result(body, "\n".join(map(red, advice(error))), success=False)
    found = api.call("GET", "stats")
    body = {**body, "refusedApps": found["breakers"], "setupFaults": found["setupFaults"]}
    return Result(body, "\n".join([red("Not all is well."), *faults(found)]), success=False)


def stats(api: Api, _: Namespace) -> Result:
    """Show the statistics, and what an operator has to repair."""
    body = api.call("GET", "stats")
    tick, events, limit = body["lastTick"], body["events"], "+" if body["capped"] else ""
    overdue = f"{body['overdue']}{limit}, the oldest for {body['oldestOverdueSeconds']:.0f} s"
    rows = [
        ("accounts", _counts(body["accounts"])),
        ("in trouble", Trouble(sum(body["accounts"].get(state, 0) for state in TROUBLE_STATES) or None)),
        ("grants", _counts(body["grants"])),
        ("due for a refresh", f"{body['due']}{limit}"),
        ("overdue", Trouble(overdue) if body["overdue"] else 0),
        ("last timer run", tick and f"{relative_time(tick['began'])}, took {tick['seconds']} s"),
        ("last sweep", relative_time(body["swept"])),
        ("mended by it", body["mended"]),
        ("failed steps of it", Trouble(body["sweepFailures"] or None)),
        ("events to fan out", events["toFanOut"]),
        ("events waiting", events["waiting"]),
        ("events parked", Trouble(events["parked"]) if events["parked"] else 0),
        ("refused OAuth apps", Trouble(len(body["breakers"]) or None)),
        ("unreachable hosts", Trouble(len(body["setupFaults"]) or None)),
    ]
    return Result(body, "\n".join([summary(rows), *parked_events(body), *faults(body)]))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items())) or "none"


def settings(api: Api, _: Namespace) -> Result:
    """Show the settings that the API has."""
    body = api.call("GET", "settings")
    return Result(body, values(body))
