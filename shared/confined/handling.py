"""Answers requests under `/v1.0`: one function for all of them, because the table decides about the rest."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from http import HTTPMethod
from typing import Any

import azure.functions as func

from shared.confined.responses import batch_answer, refusal_answer, response_of
from shared.domain.audit import Action, AuditOutcome, AuditRecord, correlation_id
from shared.domain.confined.batches import BatchPart, MailRequest, parse_batch
from shared.domain.confined.json_bodies import read_object
from shared.domain.confined.refused import AnswerOverLimit
from shared.domain.errors import MailbindError, NotAuthorized
from shared.http.audit import Audit, add_to_audit, correlated, outcome_of
from shared.http.bounds import MAIL_BOUNDS, check_bounds
from shared.http.handling import identified_caller
from shared.http.limits import RequestLimits
from shared.http.operations import add_function
from shared.http.refusals import refusal_of
from shared.http.routes import Route
from shared.ports import App
from shared.usecases.mail.answers import MailAnswer
from shared.usecases.mail.batch import make_batch
from shared.usecases.mail.open_named import open_named
from shared.usecases.mail.session import Identify
from shared.usecases.mail.use_mailbox import confine, use_mailbox

METHODS = (
    HTTPMethod.GET,
    HTTPMethod.HEAD,
    HTTPMethod.POST,
    HTTPMethod.PUT,
    HTTPMethod.PATCH,
    HTTPMethod.DELETE,
)
ROUTE = Route(METHODS, "v1.0/{*path}")
BATCH = "$batch"


@dataclass(slots=True)
class _Call:
    """What the audit record says about a call, as far as it is known yet."""

    operation: str | None = None
    account: str | None = None
    code: str | None = None
    outcome: AuditOutcome = AuditOutcome.DONE


@dataclass(frozen=True, slots=True)
class ConfinedHandling:
    """Makes the host's function. No exception leaves it: the host would answer with an empty body."""

    app: App
    audit: Audit
    limits: RequestLimits

    def blueprint(self) -> func.Blueprint:
        """The function that answers every path under `/v1.0`."""
        blueprint, name = func.Blueprint(), "use_mailbox"
        add_function(blueprint, ROUTE, name, correlated(name, self._respond))
        return blueprint

    async def _respond(self, req: func.HttpRequest) -> func.HttpResponse:
        with self.audit.request(req, Action.USE_MAILBOX):
            started, call = self.app.clock(), _Call()
            try:
                check_bounds(req, MAIL_BOUNDS)
                identify = partial(identified_caller, self.app, self.limits, req)
                add_to_audit(actor=(await identify()).id)
                request = _request(req)
                is_batch = request.path.lower() == BATCH and request.method == HTTPMethod.POST
                answer = await (self._batch if is_batch else self._one)(identify, request, call)
            except Exception as error:  # noqa: BLE001 - see the class
                answer = self._refused(call, error)
            add_to_audit(status=answer.status, duration_ms=self._since(started), **_facts(call))
            return response_of(answer)

    async def _one(self, identify: Identify, request: MailRequest, call: _Call) -> MailAnswer:
        """The answer of one call. Raises a MailbindError before anything is sent, or when no answer came."""
        caller = await identify()
        confined = confine(caller, request)
        call.operation = confined.matched.operation.name
        mailbox = await open_named(self.app, caller, confined.matched.mailbox)
        call.account = mailbox.account.id
        return await use_mailbox(self.app, identify, mailbox, confined)

    async def _batch(self, identify: Identify, request: MailRequest, call: _Call) -> MailAnswer:
        """The answers of all calls of a batch, each of which has an audit record of its own too."""
        call.operation, actor = "batch", (await identify()).id
        room = _Room(self.app.config.max_answer_bytes)

        async def make(part: BatchPart) -> MailAnswer:
            started, call_of_part = self.app.clock(), _Call()
            try:
                answer = room.take(await self._one(identify, part.request, call_of_part))
            except Exception as error:  # noqa: BLE001 - see the class
                answer = self._refused(call_of_part, error)
            self._record_part(actor, call_of_part, answer, self._since(started))
            return answer

        def refuse(_: BatchPart, error: MailbindError) -> MailAnswer:
            call_of_part = _Call()
            answer = self._refused(call_of_part, error)
            self._record_part(actor, call_of_part, answer, 0)
            return answer

        parts = parse_batch(read_object(request.body), self.app.config.base_url)
        return batch_answer(await make_batch(parts, make, refuse))

    def _refused(self, call: _Call, error: Exception) -> MailAnswer:
        refusal = refusal_of(error)
        call.code, call.outcome = refusal.code, outcome_of(refusal)
        if isinstance(refusal, NotAuthorized):
            call.account = call.account or refusal.account
        return refusal_answer(refusal, self.app.clock())

    def _record_part(self, actor: str, call: _Call, answer: MailAnswer, duration_ms: int) -> None:
        facts = {"actor": actor, "status": int(answer.status), "duration_ms": duration_ms, **_facts(call)}
        self.audit.record(AuditRecord(Action.USE_MAILBOX, correlation=correlation_id() or "", **facts))

    def _since(self, started: datetime) -> int:
        return round((self.app.clock() - started) / timedelta(milliseconds=1))


class _Room:
    """The bytes that the answers of one batch may still have together."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = self._left = max_bytes

    def take(self, answer: MailAnswer) -> MailAnswer:
        """The answer, if there is room for it. Raises AnswerOverLimit."""
        if len(answer.body) > self._left:
            raise AnswerOverLimit(self._max_bytes)
        self._left -= len(answer.body)
        return answer


def _facts(call: _Call) -> dict[str, Any]:
    """The fields of the audit record that are known."""
    known = {"outcome": call.outcome, "operation": call.operation, "account": call.account, "code": call.code}
    return {name: value for name, value in known.items() if value is not None}


def _request(req: func.HttpRequest) -> MailRequest:
    """The request as the host passes it. The host leaves the path out when it is empty, and decodes it once."""
    headers = {name.lower(): value for name, value in req.headers.items()}
    return MailRequest(req.method, req.route_params.get("path") or "", req.params, headers, req.get_body())
