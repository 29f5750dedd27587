"""What the host reads when it starts: local.settings.json, host.json and `%SETTING%` names."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

# Settings that tell code that it runs on Azure. Inherited ones would be wrong here.
PLATFORM_PREFIXES = ("WEBSITE_", "FUNCTIONS_", "CONTAINER_NAME")
TIMESPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})")
BODY_LIMIT_SETTING = "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"
DEFAULT_BODY_LIMIT_BYTES = 104_857_600
# Settings that override values of host.json, such as AzureFunctionsJobHost__extensions__queues__batchSize.
# https://learn.microsoft.com/azure/azure-functions/functions-host-json#override-hostjson-values
HOST_JSON_PREFIX = "AzureFunctionsJobHost__"
UNLIMITED_TIMEOUT = "-1"
DEFAULT_TIMEOUT = "00:30:00"
UNBOUNDED = -1


class HostError(Exception):
    """The app cannot run with its configuration."""


class FunctionInError(Exception):
    """One function cannot run as declared; the others can."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """The section extensions.queues of host.json, with the real host's defaults. Times are in seconds."""

    batch_size: int
    new_batch_threshold: int
    max_dequeue_count: int
    visibility_timeout: int
    max_polling_interval: float


@dataclass(frozen=True, slots=True)
class HostJson:
    """The parts of host.json that this host supports, and the largest request body in bytes.

    `timeout_seconds` is for each invocation; None means unlimited. A limit on requests can be UNBOUNDED.
    """

    route_prefix: str
    custom_headers: Mapping[str, str]
    body_limit: int
    max_concurrent: int
    max_outstanding: int
    timeout_seconds: float | None
    queues: QueueLimits


def prepare_environment(values_file: Path | None) -> None:
    """Remove inherited platform settings, then set the `Values` of a local.settings.json file."""
    for name in [name for name in os.environ if name.startswith(PLATFORM_PREFIXES) and name != BODY_LIMIT_SETTING]:
        del os.environ[name]
    if values_file:
        os.environ.update(json.loads(values_file.read_text())["Values"])


def read_host_json(app: Path) -> HostJson:
    """Read the app's host.json.

    https://learn.microsoft.com/azure/azure-functions/functions-host-json
    """
    document = json.loads((app / "host.json").read_text())
    _override(document, os.environ)
    http = document.get("extensions", {}).get("http", {})
    timeout = document.get("functionTimeout", DEFAULT_TIMEOUT)
    return HostJson(
        route_prefix=http.get("routePrefix", "api").strip("/"),
        custom_headers=http.get("customHeaders", {}),
        body_limit=int(os.environ.get(BODY_LIMIT_SETTING, DEFAULT_BODY_LIMIT_BYTES)),
        max_concurrent=http.get("maxConcurrentRequests", UNBOUNDED),
        max_outstanding=http.get("maxOutstandingRequests", UNBOUNDED),
        timeout_seconds=None if timeout == UNLIMITED_TIMEOUT else _seconds(timeout),
        queues=_queues(document.get("extensions", {}).get("queues", {})),
    )


def resolve(text: str) -> str:
    """Replace each `%NAME%` by the setting's value. Raises FunctionInError for a setting without a value."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if not os.environ.get(name):
            raise FunctionInError(f"%{name}% does not resolve to a value: the setting {name} is missing")
        return os.environ[name]

    return re.sub(r"%([^%]+)%", value, text)


def _override(document: dict[str, Any], settings: Mapping[str, str]) -> None:
    for name in settings:
        if name.startswith(HOST_JSON_PREFIX):
            *sections, key = name.removeprefix(HOST_JSON_PREFIX).split("__")
            section = document
            for section_name in sections:
                section = section.setdefault(section_name, {})
            section[key] = settings[name]


def _queues(section: Mapping[str, Any]) -> QueueLimits:
    batch_size = int(section.get("batchSize", 16))
    return QueueLimits(
        batch_size=batch_size,
        new_batch_threshold=int(section.get("newBatchThreshold", batch_size // 2)),
        max_dequeue_count=int(section.get("maxDequeueCount", 5)),
        visibility_timeout=int(_seconds(section.get("visibilityTimeout", "00:00:00"))),
        max_polling_interval=_seconds(section.get("maxPollingInterval", "00:01:00")),
    )


def _seconds(text: str) -> float:
    match = TIMESPAN.fullmatch(text)
    if not match:
        raise HostError(f"host.json: a time must be hh:mm:ss, not {text!r}")
    days, hours, minutes, seconds = (int(number or 0) for number in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds()
