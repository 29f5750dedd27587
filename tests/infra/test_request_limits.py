"""What requests may take of an instance's memory: numbers of host.json, Bicep and docs/limits.md that fit together."""

import json
import re

from infra.local.environment import LARGEST_REQUEST_BODY_BYTES
from shared.http.bounds import LARGEST_BODY
from tests.infra.test_bicep import INFRA, MAIN, ROOT, app_settings, parsed
from tests.infra.test_claims import dotted

MB = 1_000_000
HTTP = json.loads((ROOT / "host.json").read_text())["extensions"]["http"]
CONCURRENT, OUTSTANDING = HTTP["maxConcurrentRequests"], HTTP["maxOutstandingRequests"]
# Measured on Microsoft's host 4.1037: fresh, it takes 173 MB; with eight bodies of 104.9 MB at once 4.2 GB, and its
# worker 420 MB. So a byte of a body takes 4.8 there and 0.5 in the worker.
HOST_BYTES, HOST_BYTES_PER_BYTE, WORKER_BYTES_PER_BYTE = 173 * MB, 4.8, 0.5
# Assumed: twice what the local host takes with the app in it.
WORKER_BYTES = 150 * MB
# A request that waits for its turn has not been read; Kestrel holds at most the first MiB of it (MaxRequestBufferSize).
BUFFERED_BYTES = 1024 * 1024


def memory(running: int, waiting: int = 0) -> float:
    """Bytes that an instance takes with so many requests at the limit."""
    read = running * LARGEST_REQUEST_BODY_BYTES * (HOST_BYTES_PER_BYTE + WORKER_BYTES_PER_BYTE)
    return HOST_BYTES + WORKER_BYTES + read + waiting * min(LARGEST_REQUEST_BODY_BYTES, BUFFERED_BYTES)


def test_body_limit_is_twice_the_largest_request_body() -> None:
    """One number for Azure and the local environment: the smallest that leaves a body that is too large a sentence."""
    loaded = parsed(INFRA / "app/function.bicep")["variables"]["requestLimits"]["value"]["function"]
    setting = app_settings()["FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"]["function"]["parameters"]["value_to_convert"]

    assert 2 * LARGEST_BODY == LARGEST_REQUEST_BODY_BYTES
    assert "../request-limits.json" == loaded["parameters"]["file_path"]
    assert "requestLimits.largestRequestBodyBytes" == dotted(setting)


def test_requests_at_the_limits_fit_into_half_an_instance() -> None:
    instance = parsed(MAIN)["parameters"]["instanceMemory"]["default"] * 1024 * 1024

    assert memory(32) < memory(CONCURRENT, OUTSTANDING - CONCURRENT) < instance / 2


def test_platform_concurrency_is_within_the_host_limit() -> None:
    concurrency = parsed(MAIN)["parameters"]["httpConcurrency"]

    largest = {each["type"]: each["argument"] for each in concurrency["decorators"]}["max_value"]

    assert concurrency["default"] < largest == CONCURRENT < OUTSTANDING


def test_documentation_has_the_same_numbers() -> None:
    text = (ROOT / "docs/limits.md").read_text().partition("## Memory of requests")[2].partition("\n## ")[0]
    figures = {
        "largest body": LARGEST_REQUEST_BODY_BYTES // 1024,
        "running": CONCURRENT,
        "waiting": OUTSTANDING - CONCURRENT,
        "32": round(memory(32) / MB),
        "all": round(memory(CONCURRENT, OUTSTANDING - CONCURRENT) / MB),
    }

    assert {name: number for name, number in figures.items() if not re.search(rf"\b{number}\b", text)} == {}
