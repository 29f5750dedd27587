"""Promises of host.json's rules for the OpenTelemetry provider: an idle host is quiet, and no line of ours is lost."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from infra.local.narration import FIELD, LINE
from shared.bootstrap import build_app
from tests.conftest import settings_for
from tests.infra.log_rules import OPEN_TELEMETRY, Level, exports, kept, rules_of

ROOT = Path(__file__).parents[2]
QUERIES = sorted((ROOT / "infra/monitoring").glob("*.kql"))
HOST_JSON = json.loads((ROOT / "host.json").read_text())
RULES = rules_of(HOST_JSON)
# Debug lines that an idle host wrote all day (seen on Microsoft's host), and the lines of each run.
NOISE = (
    "Azure.Core",
    "Azure.Storage.Queues",
    "Microsoft.Azure.WebJobs.Extensions.Storage.Common.Listeners.QueueListener",
    "Microsoft.Azure.WebJobs.Extensions.Timers.Listeners.TimerListener",
    "Microsoft.Azure.WebJobs.Host.Singleton",
    "Microsoft.Azure.WebJobs.Script.Description.WorkerFunctionInvoker",
)
# A journey has no such lines; other tests do (tests/journey/test_claims.py, tests/events, tests/faults/test_poison.py).
RARE = {"long-lived", "parked", "poison"}
LEVELS = {"info": Level.INFORMATION, "warning": Level.WARNING, "error": Level.ERROR, "exception": Level.ERROR}


@pytest.fixture(scope="module")
def triggers() -> Mapping[str, str]:
    """What triggers each function of the app."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings_for("UseDevelopmentStorage=true").items():
            patch.setenv(name, value)
        functions = build_app().get_functions()
    return {
        str(each.get_function_name()): one.get_dict_repr()["type"] for each in functions if (one := each.get_trigger())
    }


@pytest.fixture(scope="module")
def lines(log: Path) -> list[tuple[Level, str]]:
    """Level and text of the app's lines, as the worker hands them to Azure's host."""
    found = []
    for line in map(LINE.fullmatch, log.read_text().splitlines()):
        if line and line[0].split(" ")[2].startswith("shared."):
            fields = dict(re.findall(FIELD, line["fields"]))
            text = f"{line['event']} {json.dumps(fields)}" if fields else line["event"]
            found.append((Level[{"INFO": "INFORMATION"}.get(line["level"], line["level"])], text))
    return found


def by_itself(triggers: Mapping[str, str]) -> set[str]:
    """Functions that timers and queues trigger."""
    return {name for name, kind in triggers.items() if kind != "httpTrigger"}


def test_timers_and_queues_have_two_log_rules_each(triggers: Mapping[str, str]) -> None:
    levels = HOST_JSON["logging"][OPEN_TELEMETRY]["logLevel"]
    pairs = {name: level for name, level in levels.items() if name.startswith("Function")}

    assert len(by_itself(triggers)) > 3
    assert pairs == {
        category: level
        for name in by_itself(triggers)
        for category, level in [(f"Function.{name}", "Warning"), (f"Function.{name}.User", "Information")]
    }


def test_timer_and_queue_runs_export_failures_only(triggers: Mapping[str, str]) -> None:
    for name in by_itself(triggers):
        category = f"Function.{name}"
        assert not exports(RULES, category, Level.INFORMATION), category
        assert exports(RULES, category, Level.ERROR), category


def test_http_calls_are_exported(triggers: Mapping[str, str]) -> None:
    """A rule for `Function.a` would silence `Function.ab` too."""
    for name in set(triggers) - by_itself(triggers):
        assert exports(RULES, f"Function.{name}", Level.INFORMATION), name


@pytest.mark.parametrize("category", NOISE)
def test_debug_lines_of_the_host_are_not_exported(category: str) -> None:
    without = {**HOST_JSON, "logging": {"logLevel": HOST_JSON["logging"]["logLevel"]}}

    assert exports(rules_of(without), category, Level.DEBUG)
    assert not exports(RULES, category, Level.INFORMATION)
    assert exports(RULES, category, Level.WARNING)


def test_queries_find_journey_lines_of_every_function(
    triggers: Mapping[str, str], lines: list[tuple[Level, str]]
) -> None:
    empty = set()
    for file in QUERIES:
        query = file.read_text()
        if "traces" not in query:
            continue
        written = kept(query, [text for _, text in lines])
        if not written:
            empty.add(file.stem)
        for name in triggers:
            category = f"Function.{name}.User"
            arrived = [text for level, text in lines if exports(RULES, category, level)]
            assert written == kept(query, arrived), (file.stem, category)

    assert RARE == empty


def test_documented_and_queried_lines_are_exported(triggers: Mapping[str, str]) -> None:
    """By the level that the code writes it at, for lines of rare occasions too."""
    code = "".join(path.read_text() for path in (ROOT / "shared").rglob("*.py"))
    table = (ROOT / "docs/observability.md").read_text().partition("| event |")[2].partition("\n\n")[0]
    named = {event for row in table.splitlines() for event in re.findall(r"`([^`]+)`", row.split("|")[1])}
    for file in QUERIES:
        named |= set(re.findall(r'message startswith "([\w ]+) \{"', file.read_text())) - {"audit"}
    written = {
        event: {LEVELS[how] for how in re.findall(rf'[lL]og\.(\w+)\(\s*"{event}"', code)} or {Level.INFORMATION}
        for event in named
    }

    assert len(named) > 10
    for event, levels in written.items():
        assert f'"{event}"' in code, event
        for name in triggers:
            assert all(exports(RULES, f"Function.{name}.User", level) for level in levels), (event, name)
