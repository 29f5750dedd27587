"""Make one confined call: check it, wait for a turn, call Graph, and bring the answer into Mailbind's form."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from shared.domain.account import Account
from shared.domain.caller import Caller
from shared.domain.confined.batches import MailRequest
from shared.domain.confined.headers import JSON, MIME, headers_for_graph
from shared.domain.confined.json_bodies import read_json, write_json
from shared.domain.confined.messages import checked_body
from shared.domain.confined.mime import checked_mime
from shared.domain.confined.operations import BodyKind
from shared.domain.confined.paths import MatchedPath, match_path
from shared.domain.confined.queries import SEALED_OPTIONS, checked_options, encoded_query
from shared.domain.confined.refused import BadMailRequest, LinkNotValid
from shared.domain.errors import NotFound, SealBroken
from shared.ports import App
from shared.ports.mail import GraphAnswer, GraphCall
from shared.usecases.mail.answers import MailAnswer, answer_here, link_identity
from shared.usecases.mail.find_account import NO_SUCH_MAILBOX
from shared.usecases.mail.graph_mailbox import GraphMailbox
from shared.usecases.mail.open_named import reopen
from shared.usecases.mail.send import send_draft, send_mime
from shared.usecases.mail.session import Identify, turn_key

MIME_BODIES = frozenset({BodyKind.DRAFT, BodyKind.SENT_MESSAGE})


@dataclass(frozen=True, slots=True)
class ConfinedCall:
    """A call whose path has a row and whose query that row allows."""

    caller: Caller
    request: MailRequest
    matched: MatchedPath
    options: Mapping[str, str]


class _Body(NamedTuple):
    content: bytes | None
    content_type: str | None


def confine(caller: Caller, request: MailRequest) -> ConfinedCall:
    """Check path, scope and query. Raises NotConfined, MissingScope and BadMailRequest."""
    matched = match_path(request.method, request.path)
    caller.require_scope(matched.operation.scope)
    return ConfinedCall(caller, request, matched, checked_options(matched.operation, request.query))


async def use_mailbox(app: App, identify: Identify, mailbox: GraphMailbox, call: ConfinedCall) -> MailAnswer:
    """Make the call in a mailbox that the caller may use.

    Raises BadMailRequest, NotConfined, WrongSender and LinkNotValid before anything is sent; and what `GraphMailbox`
    raises, TooManyRequests if the turn does not come, and AnswerNotUnderstood.
    """
    account = mailbox.account
    options = await _opened_links(app, account, call.options)
    body = _checked_body(call, account.email)

    async def open_again() -> GraphMailbox:
        caller = await identify()
        caller.require_scope(call.matched.operation.scope)
        opened = await reopen(app, caller, account.id, call.matched.mailbox)
        if opened.account.email != account.email:
            raise NotFound(NO_SUCH_MAILBOX)
        return opened

    async with app.turns.turn(turn_key(account), call.caller.id):
        # While this call waited for its turn, the account or the caller may have lost what it takes.
        mailbox = await open_again()
        mailbox.check = open_again
        answer = await _made(mailbox, call, encoded_query(options), body)
    return await answer_here(app, mailbox, call.matched, answer)


async def _made(mailbox: GraphMailbox, call: ConfinedCall, query: str, body: _Body) -> GraphAnswer:
    operation = call.matched.operation
    headers = headers_for_graph(call.request.headers, body.content_type)
    path = call.matched.in_mailbox(mailbox.user)
    if operation.name == "draft.send":
        return await send_draft(mailbox, path, headers)
    if operation.body is BodyKind.SENT_MESSAGE and body.content_type == MIME and body.content is not None:
        return await send_mime(mailbox, body.content)
    sent = GraphCall(operation.method, path, query, headers, body.content)
    return await mailbox.call(sent, is_repeatable=operation.is_repeatable)


def _checked_body(call: ConfinedCall, mailbox: str) -> _Body:
    kind, body = call.matched.operation.body, call.request.body
    if kind is BodyKind.NONE:
        if body:
            raise BadMailRequest("This path takes no body")
        return _Body(None, None)
    media_type = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == MIME and body:
        if kind not in MIME_BODIES:
            raise BadMailRequest("MIME can be sent with POST …/messages and POST …/sendMail only")
        return _Body(checked_mime(body, mailbox), MIME)
    if body and media_type not in {JSON, ""}:
        raise BadMailRequest("Content-Type has to be application/json, or text/plain for MIME in base64")
    checked = checked_body(kind, read_json(body), mailbox)
    if kind is BodyKind.EMPTY:
        return _Body(None, None)
    return _Body(write_json(checked), JSON)


async def _opened_links(app: App, account: Account, options: Mapping[str, str]) -> dict[str, str]:
    """The options with those of links that were given to this account unsealed. Raises LinkNotValid."""
    opened = dict(options)
    for name in SEALED_OPTIONS & options.keys():
        try:
            opened[name] = (await app.sealing.sealer.unseal(link_identity(account, name), options[name])).reveal()
        except SealBroken:
            raise LinkNotValid from None
    return opened
