"""Which log lines the Functions host exports, and which of them a query keeps: models of what Azure does."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

OPEN_TELEMETRY = "OpenTelemetry"


class Level(IntEnum):
    """Levels of a log line (https://learn.microsoft.com/dotnet/api/microsoft.extensions.logging.loglevel)."""

    TRACE = 0
    DEBUG = 1
    INFORMATION = 2
    WARNING = 3
    ERROR = 4


@dataclass(frozen=True)
class Rule:
    """A filter rule; None stands for every provider, for every category, and for no least level."""

    provider: str | None
    category: str | None
    least: Level | None

    def fits(self, category: str) -> bool:
        """Whether its category, of which one `*` stands for anything, is a prefix of a logger's."""
        head, _, tail = (self.category or "").lower().partition("*")
        name = category.lower()
        return name.startswith(head) and name.endswith(tail)


# The host adds them after those of host.json: OpenTelemetryConfigurationExtensions.cs of Azure/azure-functions-host
# 4.1037. None has a level, so each of them lets every line through. Newer hosts drop `Azure.*` and `Host.*` lines.
OF_THE_HOST = tuple(
    Rule(OPEN_TELEMETRY, category, None)
    for category in ("Function.*", "Azure.*", "Host.Results", "Host.Aggregator", "Microsoft.Azure.WebJobs.*")
)


def rules_of(host_json: Mapping[str, Any]) -> tuple[Rule, ...]:
    """All rules of a host with this host.json, in the order in which they are added."""
    logging = host_json["logging"]
    own = {
        None: logging.get("logLevel", {}),
        **{name: each["logLevel"] for name, each in logging.items() if name != "logLevel"},
    }
    read = (
        Rule(provider, None if category == "default" else category, Level[level.upper()])
        for provider, levels in own.items()
        for category, level in levels.items()
    )
    return (*read, *OF_THE_HOST)


def exports(rules: Iterable[Rule], category: str, level: Level) -> bool:
    """Whether a line is exported. One rule decides, and which one is documented step by step.

    https://learn.microsoft.com/dotnet/core/extensions/logging#how-filtering-rules-are-applied: rules of the provider go
    before general ones, then the longest category prefix wins, then the last rule (dotnet/runtime, LoggerRuleSelector).
    """
    fitting = [rule for rule in rules if rule.provider in {None, OPEN_TELEMETRY} and rule.fits(category)]
    of_the_provider = [rule for rule in fitting if rule.provider]
    candidates = of_the_provider or fitting
    longest = max((len(rule.category or "") for rule in candidates), default=0)
    chosen = [rule for rule in candidates if len(rule.category or "") == longest]
    return not chosen or chosen[-1].least is None or level >= chosen[-1].least


TERM = re.compile(r'(?P<name>message|record\.\w+) (?P<does>startswith|==|!=|in) (?P<value>"[^"]*"|\([^)]*\))')


def kept(query: str, messages: Iterable[str]) -> list[str]:
    """The messages that pass a query's conditions on the line itself and on its audit record.

    Its conditions on numbers that it reads from a line do not depend on whether lines arrive, and are left out.
    """
    conditions = [where for where in re.findall(r"\| where (.*)", query) if TERM.search(where)]
    return [message for message in messages if all(_holds(where, message) for where in conditions)]


def _holds(where: str, message: str) -> bool:
    return any(all(_term(term, message) for term in either.split(" and ")) for either in where.split(" or "))


def _term(term: str, message: str) -> bool:
    found = TERM.fullmatch(term.strip())
    assert found, f"the model does not know the condition {term}"
    values: list[str] = re.findall(r'"([^"]*)"', found["value"])
    record = json.loads(message.partition(" ")[2]) if found["name"] != "message" else {}
    actual = message if found["name"] == "message" else record.get(found["name"].removeprefix("record."))
    match found["does"]:
        case "startswith":
            return str(actual).lower().startswith(values[0].lower())
        case "!=":
            return str(actual) != values[0]
        case _:
            return actual in values
