"""Graph: profiles of users, the mail of mailboxes that the caller can open, and batches of both."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response

from infra.local.tenant.batch import answer_batch
from infra.local.tenant.bearer import Caller, read_caller
from infra.local.tenant.entities import Mailbox, Person
from infra.local.tenant.error_responses import graph_error_response
from infra.local.tenant.failures import Refusal
from infra.local.tenant.graph_paths import Target, read_target
from infra.local.tenant.graph_request import Answer, GraphRequest
from infra.local.tenant.mail.access import MailboxConcurrency, find_mailbox, open_mailbox
from infra.local.tenant.mail.call import MailCall, Operation
from infra.local.tenant.mail.operations import OPERATIONS
from infra.local.tenant.profiles import read_profile
from infra.local.tenant.tenant import Tenant, timestamp

METHODS = ["GET", "POST", "PATCH", "PUT", "DELETE"]
BATCH_PATH = "/v1.0/$batch"
SHAPES = {shape for _, shape in OPERATIONS}
# https://learn.microsoft.com/graph/errors (413), and public reports of the limit
MAX_BODY_BYTES = 4 * 1024 * 1024
# A batch succeeds although its parts are throttled. https://learn.microsoft.com/graph/throttling#throttling-and-batching
FAULTS_OF_PARTS = frozenset({"ApplicationThrottled", "TooManyRequests"})

DIAGNOSTIC = '{"ServerInfo":{"DataCenter":"Local","Slice":"E","Ring":"1","ScaleUnit":"000","RoleInstance":"LOCAL"}}'

ReadBody = Callable[[], Awaitable[bytes]]


@dataclass(slots=True)
class Trace:
    """What the journal says of a call: who called, and the mailbox whose content was open to it."""

    person: Person | None = None
    mailbox: Mailbox | None = None


class GraphEndpoint:
    """/v1.0/me, /v1.0/users/{id}, what is below them, and /v1.0/$batch."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._concurrency = MailboxConcurrency()

    async def handle(self, request: Request) -> Response:
        """Answer a request, which may be a batch."""
        graph_request = GraphRequest(
            method=request.method,
            path=request.scope["path"],
            query=request.url.query,
            headers=dict(request.headers),
        )
        return await self._respond(graph_request, request.body)

    async def _respond(self, request: GraphRequest, read_body: ReadBody) -> Response:
        now = timestamp(self._tenant.now())[:19]
        headers, trace = _request_ids(request), Trace()
        try:
            response = (await self._answer(request, read_body, trace)).response(headers)
        except Refusal as refusal:
            response = graph_error_response(refusal, headers, now)
        self._tenant.note(
            "graph called",
            method=request.method,
            path=request.path,
            status=response.status_code,
            person=trace.person.upn if trace.person else None,
            mailbox=trace.mailbox.address if trace.mailbox else None,
            request_id=request.headers.get("client-request-id"),
            headers=sorted(request.headers),
        )
        return response

    async def _answer(self, request: GraphRequest, read_body: ReadBody, trace: Trace) -> Answer:
        caller = self._caller(request)
        trace.person = caller.person
        is_batch = request.path.lower() == BATCH_PATH
        target = None if is_batch else _target(request)
        with self._concurrent(caller, target):
            # Before the delay: a call has its effect although the caller does not wait for the answer.
            request = replace(request, body=await read_body())
            if not is_batch and (delay := self._tenant.conditions.latency_of("graph")):  # parts have it themselves
                await asyncio.sleep(delay)
            self._raise_fault(caller.person, target, spared=FAULTS_OF_PARTS if is_batch else frozenset())
            if len(request.body) > MAX_BODY_BYTES:
                raise Refusal("RequestEntityTooLarge")
            if target is None:
                return await answer_batch(request, self._respond)
            if not target.shape and request.method == "GET":
                return read_profile(self._tenant, caller, target.user, request)
            return self._mail(request, caller, target, trace)

    def _mail(self, request: GraphRequest, caller: Caller, target: Target, trace: Trace) -> Answer:
        operation = _operation(request.method, target)
        owner = trace.mailbox = open_mailbox(self._tenant, caller, target.user, operation.level)
        return operation.handle(
            MailCall(
                tenant=self._tenant,
                caller=caller,
                owner=owner,
                stored=self._tenant.mail.mailbox(owner.oid),
                request=request,
                target=target,
            )
        )

    def _concurrent(self, caller: Caller, target: Target | None) -> AbstractContextManager[None]:
        """Count a call on mail, for which there is a limit."""
        mailbox = find_mailbox(self._tenant, caller, target.user) if target and target.shape else None
        return self._concurrency.one_more(caller.app_id, mailbox.oid) if mailbox else nullcontext()

    def _raise_fault(self, person: Person, target: Target | None, *, spared: frozenset[str]) -> None:
        if fault := self._tenant.conditions.next_fault("graph", person=person.oid, spared=spared):
            mailbox = (target.user if target else None) or person.upn
            reason = "Access token has expired or is not yet valid."
            raise Refusal(fault.failure, retry_after=fault.retry_after, mailbox=mailbox, reason=reason)

    def _caller(self, request: GraphRequest) -> Caller:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refusal("InvalidAuthenticationToken", reason="Access token is empty.")
        graph = self._tenant.directory.graph
        return read_caller(self._tenant, token, graph.address, graph.app_id, self._tenant.origin)


def _target(request: GraphRequest) -> Target:
    target = read_target(request.path)
    if target is None:
        segment = request.path.removeprefix("/v1.0/").partition("/")[0]
        raise Refusal("BadRequest", reason=f"Resource not found for the segment '{segment}'.")
    return target


def _operation(method: str, target: Target) -> Operation:
    if operation := OPERATIONS.get((method, target.shape)):
        return operation
    if target.shape in SHAPES or not target.shape:
        raise Refusal("methodNotAllowed")
    raise Refusal("BadRequest", reason=f"Resource not found for the segment '{target.shape.rpartition('/')[2]}'.")


def _request_ids(request: GraphRequest) -> dict[str, str]:
    """The id of the request, and the client's own id if it sent one.

    https://learn.microsoft.com/graph/best-practices-concept#reliability-and-support
    """
    request_id = str(uuid.uuid4())
    return {
        "request-id": request_id,
        "client-request-id": request.headers.get("client-request-id", request_id),
        "x-ms-ags-diagnostic": DIAGNOSTIC,
    }
