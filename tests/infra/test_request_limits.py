"""The memory of requests: the numbers of host.json, Bicep and docs/limits.md must fit together."""

import json
import re

from infra.local.environment import LARGEST_REQUEST_BODY_BYTES
from shared.http.bounds import MAX_BODY_BYTES, MAX_MAIL_BODY_BYTES
from tests.infra.test_bicep import INFRA, MAIN, ROOT, app_settings, parsed
from tests.infra.test_claims import dotted

MB = 1_000_000
HTTP = json.loads((ROOT / "host.json").read_text())["extensions"]["http"]
CONCURRENT, OUTSTANDING = HTTP["maxConcurrentRequests"], HTTP["maxOutstandingRequests"]
# Measured on Microsoft's host 4.1037: 173 MB after the start, 4.2 GB with eight concurrent bodies of 104.9 MB, and
# 420 MB in its worker. So a byte of a body takes 4.8 bytes in the host and 0.5 in the worker.
HOST_BYTES, HOST_BYTES_PER_BYTE, WORKER_BYTES_PER_BYTE = 173 * MB, 4.8, 0.5
# An assumption: twice the memory of the local host with the app.
WORKER_BYTES = 150 * MB
# The body of a waiting request has not been read. Kestrel buffers at most 1 MiB of it (MaxRequestBufferSize).
BUFFERED_BYTES = 1024 * 1024


def memory_bytes(running: int, waiting: int = 0) -> float:
    """The memory of an instance with so many requests of the largest size."""
    body_bytes = running * LARGEST_REQUEST_BODY_BYTES * (HOST_BYTES_PER_BYTE + WORKER_BYTES_PER_BYTE)
    return HOST_BYTES + WORKER_BYTES + body_bytes + waiting * min(LARGEST_REQUEST_BODY_BYTES, BUFFERED_BYTES)


def test_body_limit_is_just_above_the_largest_request_body() -> None:
    """Azure and the local environment share one number. A slightly too large body still reaches the app."""
    loaded = parsed(INFRA / "app/function.bicep")["variables"]["requestLimits"]["value"]["function"]
    setting = app_settings()["FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"]["function"]["parameters"]["value_to_convert"]

    assert MAX_MAIL_BODY_BYTES + MAX_BODY_BYTES == LARGEST_REQUEST_BODY_BYTES
    assert "../request-limits.json" == loaded["parameters"]["file_path"]
    assert "requestLimits.largestRequestBodyBytes" == dotted(setting)


def test_requests_at_the_limits_leave_memory_for_answers() -> None:
    instance = parsed(MAIN)["parameters"]["instanceMemory"]["default"] * 1024 * 1024

    assert memory_bytes(32) < instance / 2
    assert memory_bytes(CONCURRENT, OUTSTANDING - CONCURRENT) < instance * 3 / 4


def test_platform_concurrency_is_within_the_host_limit() -> None:
    concurrency = parsed(MAIN)["parameters"]["httpConcurrency"]

    largest = {decorator["type"]: decorator["argument"] for decorator in concurrency["decorators"]}["max_value"]

    assert concurrency["default"] < largest == CONCURRENT < OUTSTANDING


def test_documentation_has_the_same_numbers() -> None:
    text = (ROOT / "docs/limits.md").read_text().partition("## Memory of requests")[2].partition("\n## ")[0]
    figures = {
        "largest body": LARGEST_REQUEST_BODY_BYTES // 1024,
        "running": CONCURRENT,
        "waiting": OUTSTANDING - CONCURRENT,
        "32": round(memory_bytes(32) / MB),
        "all": round(memory_bytes(CONCURRENT, OUTSTANDING - CONCURRENT) / MB),
    }

    assert {name: number for name, number in figures.items() if not re.search(rf"\b{number}\b", text)} == {}
