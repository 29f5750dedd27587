"""The log rules of host.json: an idle host exports nothing, and no line of the app is lost."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from infra.local.narration import FIELD, LINE
from shared.bootstrap import build_app
from tests.conftest import settings_for
from tests.infra.log_rules import OPEN_TELEMETRY, Level, exports, matching_messages, read_rules

ROOT = Path(__file__).parents[2]
QUERIES = sorted((ROOT / "infra/monitoring").glob("*.kql"))
HOST_JSON = json.loads((ROOT / "host.json").read_text())
RULES = read_rules(HOST_JSON)
# Categories of debug lines that an idle host writes all day (observed on Microsoft's host), and of each run.
NOISY_CATEGORIES = (
    "Azure.Core",
    "Azure.Storage.Queues",
    "Microsoft.Azure.WebJobs.Extensions.Storage.Common.Listeners.QueueListener",
    "Microsoft.Azure.WebJobs.Extensions.Timers.Listeners.TimerListener",
    "Microsoft.Azure.WebJobs.Host.Singleton",
    "Microsoft.Azure.WebJobs.Script.Description.WorkerFunctionInvoker",
)
# The journey has no lines for these. tests/usecases/test_claims.py, tests/events and tests/faults/test_poison.py have.
RARE_QUERIES = {"long-lived", "parked", "poison"}
LEVELS = {"info": Level.INFORMATION, "warning": Level.WARNING, "error": Level.ERROR, "exception": Level.ERROR}


@pytest.fixture(scope="module")
def triggers() -> Mapping[str, str]:
    """The trigger type of each function of the app."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings_for("UseDevelopmentStorage=true").items():
            patch.setenv(name, value)
        functions = build_app().get_functions()
    return {
        str(function.get_function_name()): trigger.get_dict_repr()["type"]
        for function in functions
        if (trigger := function.get_trigger())
    }


@pytest.fixture(scope="module")
def lines(log: Path) -> list[tuple[Level, str]]:
    """Level and text of the app's lines, as the worker passes them to Azure's host."""
    app_lines = []
    for line in map(LINE.fullmatch, log.read_text().splitlines()):
        if line and line[0].split(" ")[2].startswith("shared."):
            fields = dict(re.findall(FIELD, line["fields"]))
            text = f"{line['event']} {json.dumps(fields)}" if fields else line["event"]
            app_lines.append((Level[{"INFO": "INFORMATION"}.get(line["level"], line["level"])], text))
    return app_lines


def background_functions(triggers: Mapping[str, str]) -> set[str]:
    """The functions with timer and queue triggers."""
    return {name for name, kind in triggers.items() if kind != "httpTrigger"}


def test_timers_and_queues_have_two_log_rules_each(triggers: Mapping[str, str]) -> None:
    levels = HOST_JSON["logging"][OPEN_TELEMETRY]["logLevel"]
    pairs = {name: level for name, level in levels.items() if name.startswith("Function")}

    assert len(background_functions(triggers)) > 3
    assert pairs == {
        category: level
        for name in background_functions(triggers)
        for category, level in [(f"Function.{name}", "Warning"), (f"Function.{name}.User", "Information")]
    }


def test_timer_and_queue_runs_export_failures_only(triggers: Mapping[str, str]) -> None:
    for name in background_functions(triggers):
        category = f"Function.{name}"
        assert not exports(RULES, category, Level.INFORMATION), category
        assert exports(RULES, category, Level.ERROR), category


def test_http_calls_are_exported(triggers: Mapping[str, str]) -> None:
    """A rule for `Function.a` would apply to `Function.ab` too."""
    for name in set(triggers) - background_functions(triggers):
        assert exports(RULES, f"Function.{name}", Level.INFORMATION), name


@pytest.mark.parametrize("category", NOISY_CATEGORIES)
def test_debug_lines_of_the_host_are_not_exported(category: str) -> None:
    without = {**HOST_JSON, "logging": {"logLevel": HOST_JSON["logging"]["logLevel"]}}

    assert exports(read_rules(without), category, Level.DEBUG)
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
        written = matching_messages(query, [text for _, text in lines])
        if not written:
            empty.add(file.stem)
        for name in triggers:
            category = f"Function.{name}.User"
            arrived = [text for level, text in lines if exports(RULES, category, level)]
            assert written == matching_messages(query, arrived), (file.stem, category)

    assert RARE_QUERIES == empty


def test_documented_and_queried_lines_are_exported(triggers: Mapping[str, str]) -> None:
    """Also for rare lines: their level is read from the code."""
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
