"""One audit record for each request."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

import azure.functions as func

from shared.domain.audit import Action, AuditOutcome, AuditRecord, AuditSampler, correlation_id, set_correlation_id
from shared.domain.errors import InternalError, MailbindError
from shared.http.responses import Handler, add_header
from shared.ports import AuditLog, Clock, Entropy

CORRELATION_HEADER = "X-Correlation-Id"
AZURE_REQUEST_ID = "x-ms-client-request-id"  # what Azure's SDKs and Logic Apps send
CORRELATION_ID_PATTERN = re.compile(r"[A-Za-z0-9._-]{8,64}")
TRACEPARENT_PATTERN = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")

_request: ContextVar[AuditRecord] = ContextVar("audit record of this request")


def add_to_audit(**facts: Any) -> None:  # noqa: ANN401 - the fields of AuditRecord
    """Add details to the audit record of the current request: the actor, the target, the result."""
    _request.set(replace(_request.get(), **facts))


def add_accounts_to_audit(accounts: Iterable[str]) -> None:
    """Add the accounts of the current request to its audit record."""
    several = tuple(accounts)
    add_to_audit(account=several[0] if len(several) == 1 else None, accounts=several if len(several) > 1 else None)


@dataclass(frozen=True, slots=True)
class Audit:
    """Writes the audit records. `write` takes finished ones."""

    write: AuditLog
    clock: Clock
    entropy: Entropy
    sampling: AuditSampler = field(default_factory=AuditSampler)

    def correlate(self, req: func.HttpRequest) -> str:
        """Set the correlation id of the request: the caller's, or a new one."""
        identity = _given(req) or self.entropy(16).hex()
        set_correlation_id(identity)
        return identity

    @contextmanager
    def request(self, req: func.HttpRequest, action: Action) -> Iterator[None]:
        """Write a record when the block ends, with the correlation id of that moment: a sign-in takes its link's."""
        identity = self.correlate(req)
        _request.set(AuditRecord(action, AuditOutcome.DONE, identity, account=req.route_params.get("account")))
        try:
            yield
        except BaseException:
            add_to_audit(outcome=AuditOutcome.FAILED)
            raise
        finally:
            add_to_audit(correlation=correlation_id())
            self.record(_request.get())

    def record(self, record: AuditRecord) -> None:
        """Write a finished record, unless it is one of many alike."""
        kept = self.sampling.sampled(record, self.clock()) if record.is_logged else None
        if kept is not None:
            self.write(kept.truncated())


def correlated(name: str, respond: Handler) -> Handler:
    """The host's handler, named after its function. Every response carries the correlation id of its request."""

    async def handle(req: func.HttpRequest) -> func.HttpResponse:
        response = await respond(req)
        add_header(response, CORRELATION_HEADER, correlation_id() or "")
        return response

    handle.__name__ = name
    return handle


def outcome_of(refusal: MailbindError) -> AuditOutcome:
    """Failed for an internal error, refused for any other."""
    return AuditOutcome.FAILED if isinstance(refusal, InternalError) else AuditOutcome.REFUSED


def _given(req: func.HttpRequest) -> str | None:
    """The caller's id, or the trace that the request belongs to (W3C Trace Context section 3.2)."""
    given: str = req.headers.get(CORRELATION_HEADER) or req.headers.get(AZURE_REQUEST_ID, "")
    trace = TRACEPARENT_PATTERN.fullmatch(req.headers.get("traceparent", ""))
    if CORRELATION_ID_PATTERN.fullmatch(given):
        return given
    return str(trace[1]) if trace else None
