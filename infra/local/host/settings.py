"""What the host reads at its start: local.settings.json, host.json and `%SETTING%` names."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from infra.local.host.throttle import UNBOUNDED

# Settings of a real host, by which code learns where it runs. What was inherited is not true here.
PLATFORM = ("WEBSITE_", "FUNCTIONS_", "CONTAINER_NAME")
TIMESPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})")
BODY_LIMIT, DEFAULT_BODY_LIMIT = "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", 104_857_600  # bytes
# Settings that stand in for values of host.json, as AzureFunctionsJobHost__extensions__queues__batchSize
# (https://learn.microsoft.com/azure/azure-functions/functions-host-json#override-hostjson-values).
HOST_JSON_PREFIX = "AzureFunctionsJobHost__"
NO_LIMIT = "-1"
DEFAULT_LIMIT = "00:30:00"


class HostError(Exception):
    """The app cannot be run as it is configured."""


class FunctionInError(Exception):
    """One function cannot be run as it is declared; the others can."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """host.json, extensions.queues; times in seconds, the defaults are the real host's."""

    batch_size: int
    threshold: int
    most_tries: int
    visibility: int
    longest_poll: float


@dataclass(frozen=True, slots=True)
class HostJson:
    """The parts of host.json that this host obeys, and the setting of the largest body in bytes.

    `time_limit` is in seconds, None for none.
    """

    route_prefix: str
    custom_headers: Mapping[str, str]
    body_limit: int
    most_concurrent: int
    most_outstanding: int
    time_limit: float | None
    queues: QueueLimits


def prepare_environment(values_file: Path | None) -> None:
    """Forget an inherited platform's settings, then take over `Values` of a local.settings.json file."""
    for name in [name for name in os.environ if name.startswith(PLATFORM) and name != BODY_LIMIT]:
        del os.environ[name]
    if values_file:
        os.environ.update(json.loads(values_file.read_text())["Values"])


def read_host_json(app: Path) -> HostJson:
    """Read the app's host.json (https://learn.microsoft.com/azure/azure-functions/functions-host-json)."""
    document = json.loads((app / "host.json").read_text())
    _override(document, os.environ)
    http = document.get("extensions", {}).get("http", {})
    limit = document.get("functionTimeout", DEFAULT_LIMIT)
    return HostJson(
        route_prefix=http.get("routePrefix", "api").strip("/"),
        custom_headers=http.get("customHeaders", {}),
        body_limit=int(os.environ.get(BODY_LIMIT, DEFAULT_BODY_LIMIT)),
        most_concurrent=http.get("maxConcurrentRequests", UNBOUNDED),
        most_outstanding=http.get("maxOutstandingRequests", UNBOUNDED),
        time_limit=None if limit == NO_LIMIT else _seconds(limit),
        queues=_queues(document.get("extensions", {}).get("queues", {})),
    )


def resolve(text: str) -> str:
    """Put the settings' values in place of `%NAME%`. Raises FunctionInError for a name without a value."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if not os.environ.get(name):
            raise FunctionInError(f"%{name}% does not resolve to a value: the setting {name} is missing")
        return os.environ[name]

    return re.sub(r"%([^%]+)%", value, text)


def _override(document: dict[str, Any], settings: Mapping[str, str]) -> None:
    for name in settings:
        if name.startswith(HOST_JSON_PREFIX):
            *sections, key = name.removeprefix(HOST_JSON_PREFIX).split("__")
            section = document
            for each in sections:
                section = section.setdefault(each, {})
            section[key] = settings[name]


def _queues(section: Mapping[str, Any]) -> QueueLimits:
    size = int(section.get("batchSize", 16))
    return QueueLimits(
        batch_size=size,
        threshold=int(section.get("newBatchThreshold", size // 2)),
        most_tries=int(section.get("maxDequeueCount", 5)),
        visibility=int(_seconds(section.get("visibilityTimeout", "00:00:00"))),
        longest_poll=_seconds(section.get("maxPollingInterval", "00:01:00")),
    )


def _seconds(text: str) -> float:
    found = TIMESPAN.fullmatch(text)
    if not found:
        raise HostError(f"host.json: a time must be hh:mm:ss, not {text!r}")
    days, hours, minutes, seconds = (int(number or 0) for number in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds()
