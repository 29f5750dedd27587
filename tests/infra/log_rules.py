"""Models of Azure: which log lines the Functions host exports, and which of them a query matches."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

OPEN_TELEMETRY = "OpenTelemetry"


class Level(IntEnum):
    """Log levels.

    https://learn.microsoft.com/dotnet/api/microsoft.extensions.logging.loglevel
    """

    TRACE = 0
    DEBUG = 1
    INFORMATION = 2
    WARNING = 3
    ERROR = 4


@dataclass(frozen=True)
class Rule:
    """A filter rule. None means every provider, every category, or no minimum level."""

    provider: str | None
    category: str | None
    minimum: Level | None

    def matches(self, category: str) -> bool:
        """Whether the rule's category is a prefix of the logger's. It can have one `*`, which matches anything."""
        head, _, tail = (self.category or "").lower().partition("*")
        name = category.lower()
        return name.startswith(head) and name.endswith(tail)


# The host adds these after the rules of host.json (OpenTelemetryConfigurationExtensions.cs of
# Azure/azure-functions-host 4.1037). They have no level, so they export every line. Newer hosts
# drop `Azure.*` and `Host.*` lines.
HOST_RULES = tuple(
    Rule(OPEN_TELEMETRY, category, None)
    for category in ("Function.*", "Azure.*", "Host.Results", "Host.Aggregator", "Microsoft.Azure.WebJobs.*")
)


def read_rules(host_json: Mapping[str, Any]) -> tuple[Rule, ...]:
    """All rules of a host with this host.json, in the order in which the host adds them."""
    logging = host_json["logging"]
    levels_of_provider = {
        None: logging.get("logLevel", {}),
        **{name: section["logLevel"] for name, section in logging.items() if name != "logLevel"},
    }
    configured_rules = (
        Rule(provider, None if category == "default" else category, Level[level.upper()])
        for provider, levels in levels_of_provider.items()
        for category, level in levels.items()
    )
    return (*configured_rules, *HOST_RULES)


def exports(rules: Iterable[Rule], category: str, level: Level) -> bool:
    """Whether a line is exported. One rule decides.

    https://learn.microsoft.com/dotnet/core/extensions/logging#how-filtering-rules-are-applied: rules of the provider go
    before general ones, then the longest category prefix wins, then the last rule (dotnet/runtime, LoggerRuleSelector).
    """
    fitting = [rule for rule in rules if rule.provider in {None, OPEN_TELEMETRY} and rule.matches(category)]
    of_the_provider = [rule for rule in fitting if rule.provider]
    candidates = of_the_provider or fitting
    longest = max((len(rule.category or "") for rule in candidates), default=0)
    chosen = [rule for rule in candidates if len(rule.category or "") == longest]
    return not chosen or chosen[-1].minimum is None or level >= chosen[-1].minimum


TERM = re.compile(r'(?P<name>message|record\.\w+) (?P<does>startswith|==|!=|in) (?P<value>"[^"]*"|\([^)]*\))')


def matching_messages(query: str, messages: Iterable[str]) -> list[str]:
    """The messages that fulfil a query's conditions on the line and on its audit record.

    Conditions on numbers are ignored, because they do not depend on whether a line arrives.
    """
    conditions = [where for where in re.findall(r"\| where (.*)", query) if TERM.search(where)]
    return [message for message in messages if all(_holds(where, message) for where in conditions)]


def _holds(where: str, message: str) -> bool:
    return any(all(_term(term, message) for term in either.split(" and ")) for either in where.split(" or "))


def _term(term: str, message: str) -> bool:
    term_match = TERM.fullmatch(term.strip())
    assert term_match, f"the model does not know the condition {term}"
    values: list[str] = re.findall(r'"([^"]*)"', term_match["value"])
    record = json.loads(message.partition(" ")[2]) if term_match["name"] != "message" else {}
    actual = message if term_match["name"] == "message" else record.get(term_match["name"].removeprefix("record."))
    match term_match["does"]:
        case "startswith":
            return str(actual).lower().startswith(values[0].lower())
        case "!=":
            return str(actual) != values[0]
        case _:
            return actual in values
