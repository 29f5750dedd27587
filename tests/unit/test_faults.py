"""Every exception of a handler is answered and logged in one line, which does not quote it."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import azure.functions as func
import pytest

from shared.bootstrap import build
from shared.browser.handling import BrowserHandling
from shared.domain.audit import Action, AuditRecord
from shared.domain.caller import Scope
from shared.domain.errors import NotStorable, SealBroken, StaleWrite
from shared.http.audit import Audit
from shared.http.handling import ApiHandling
from shared.http.limits import RequestLimits
from shared.http.operations import Resource
from shared.http.refusals import refusal_of
from tests.conftest import API_TOKEN, settings_for

SECRET = "what the request said"


def now() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC)


def zeros(count: int) -> bytes:
    return bytes(count)


def no_entropy(count: int) -> bytes:
    """Rendering a page needs some."""
    raise OSError(SECRET, count)


def request() -> func.HttpRequest:
    headers = {"Authorization": f"Bearer {API_TOKEN}", "X-Correlation-Id": "orders-flow-17"}
    return func.HttpRequest("GET", "https://app.example/", headers=headers, body=b"")


@pytest.fixture
def records() -> list[AuditRecord]:
    return []


@pytest.fixture
def audit(records: list[AuditRecord]) -> Audit:
    return Audit(records.append, now, zeros)


FAULTS: list[tuple[Callable[[], Exception], int, str, str]] = [
    (lambda: ValueError(SECRET), 500, "InternalError", "failed"),
    (lambda: RecursionError(SECRET), 500, "InternalError", "failed"),
    (lambda: UnicodeEncodeError("utf-8", SECRET, 0, 1, "lone surrogate"), 500, "InternalError", "failed"),
    (lambda: KeyError(SECRET), 500, "InternalError", "failed"),
    (lambda: ExceptionGroup(SECRET, [ValueError(SECRET)]), 500, "InternalError", "failed"),
    (StaleWrite, 409, "Conflict", "refused"),
    (NotStorable, 400, "NotStorable", "refused"),
    (lambda: SealBroken("another key"), 503, "secrets_lost", "refused"),
]


@pytest.mark.parametrize(("fault", "status", "code", "outcome"), FAULTS)
async def test_a_route_of_the_api_answers_in_the_error_shape(
    audit: Audit,
    records: list[AuditRecord],
    caplog: pytest.LogCaptureFixture,
    fault: Callable[[], Exception],
    status: int,
    code: str,
    outcome: str,
) -> None:
    app = replace(build(settings_for("UseDevelopmentStorage=true")), audit=records.append)
    handling = ApiHandling(app, audit, RequestLimits(lambda *_: None, 0))
    resource = Resource("Tests", "Routes that fail.")

    @resource.get("/v1/tests", Action.READ_STATISTICS, Scope.ADMIN)
    async def for_callers() -> func.HttpResponse:
        """Fail."""
        raise fault()

    @resource.get("/tests")
    async def for_everybody() -> func.HttpResponse:
        """Fail."""
        raise fault()

    answers = [await handling.handler_of(operation)(request()) for operation in resource.operations]

    for answer in answers:
        body = json.loads(answer.get_body())
        assert (status, status, code) == (answer.status_code, body["statusCode"], body["code"])
        assert "orders-flow-17" == answer.headers["X-Correlation-Id"]
        assert SECRET not in answer.get_body().decode()
    assert [(outcome, code)] == [(record.outcome, record.code) for record in records]
    assert (2 if status == 500 else 0) == len(faults(caplog))


@pytest.mark.parametrize(("fault", "status", "code", "outcome"), FAULTS)
@pytest.mark.parametrize("entropy", [zeros, no_entropy])
async def test_a_browser_gets_a_page_when_rendering_fails(
    audit: Audit,
    records: list[AuditRecord],
    caplog: pytest.LogCaptureFixture,
    entropy: Callable[[int], bytes],
    fault: Callable[[], Exception],
    status: int,
    code: str,
    outcome: str,
) -> None:
    app = replace(build(settings_for("UseDevelopmentStorage=true")), entropy=entropy)

    handling = BrowserHandling(app, audit, RequestLimits(lambda *_: None, 0))
    resource = Resource("Tests", "A page that fails.")

    @resource.get("/tests", Action.OPEN_LINK)
    async def open_page(**_: object) -> func.HttpResponse:
        """Fail."""
        raise fault()

    (operation,) = resource.operations

    answer = await handling.handler_of(operation)(request())

    html = answer.get_body().decode()
    assert (status if entropy is zeros else 500) == answer.status_code
    assert "<!doctype html>" in html
    assert SECRET not in html
    if entropy is zeros:
        assert f"mention: <strong>{code}</strong>" in html
        assert (status == 500) is ("orders-flow-17" in html)
    assert [(outcome, code)] == [(record.outcome, record.code) for record in records]
    assert (status == 500) + (entropy is no_entropy) == len(faults(caplog))


def faults(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    found = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert {"request failed"} >= {record.getMessage() for record in found}
    assert [] == [record for record in found if SECRET in str(vars(record)) or record.exc_info]
    return found


def test_the_log_says_why_secrets_are_lost(caplog: pytest.LogCaptureFixture) -> None:
    refusal_of(SealBroken("another key"))

    (line,) = [vars(record) for record in caplog.records if record.getMessage() == "request unavailable"]
    assert ("secrets_lost", "another key") == (line["code"], line["error"])
