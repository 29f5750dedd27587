"""POST /v1/account/{account}/submit and …/message/{message}/submit: send a message, or a draft that is stored."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import azure.functions as func
from msgspec import UNSET, Meta, UnsetType

from shared.api.field_types import AccountId, IgnoredText, RequestTimestamp, Timestamp
from shared.api.mail.composed import composition_of
from shared.api.mail.drafts import ReferenceResult, reference_result
from shared.api.mail.resource import resource
from shared.api.mail.submission_fields import REFUSED, IgnoredNumber, MessageFields
from shared.domain.audit import Action
from shared.domain.caller import Caller, Scope
from shared.domain.mail.submission import MAX_AHEAD, digest
from shared.http.bounds import MESSAGE_BOUNDS
from shared.http.decoding import Body, Faults, read_object
from shared.http.responses import Answer, moment
from shared.ports import App
from shared.usecases.mail.compose import compose
from shared.usecases.mail.session import Identify, MailSession, checked_id
from shared.usecases.mail.submit import Order, Submitted, submit

KEY_HEADER = "Idempotency-Key"
KEY_PATTERN = re.compile(r"[!-~]{1,256}")
IdempotencyKey = Annotated[
    str,
    Meta(
        description="A key for this message, of up to 256 characters of ASCII without blanks: within a day it is sent"
        " once, however often the request is repeated.",
        examples=["order-4711"],
        pattern=f"^{KEY_PATTERN.pattern}$",
    ),
]
QUEUED = "Queued for delivery"

SendAt = Annotated[
    RequestTimestamp, Meta(description="When to send it, at most 30 days ahead. A time that has passed means now.")
]


class Submit(MessageFields, kw_only=True):
    """A message to send. It is from the mailbox, and the copy is in its Sent Items."""

    send_at: SendAt | UnsetType = UNSET
    copy: (
        Annotated[bool, Meta(description="Must not be false: the copy is in Sent Items.", examples=[True])] | UnsetType
    ) = UNSET


class DraftSubmit(Body, kw_only=True):
    """How to send the draft."""

    refused: ClassVar[Mapping[str, str]] = {name: REFUSED[name] for name in ("gateway", "envelope", "trackOpens")}
    example: ClassVar[Mapping[str, Any]] = {"deliveryAttempts": 10}

    send_at: SendAt | UnsetType = UNSET
    delivery_attempts: IgnoredNumber | UnsetType = UNSET
    proxy: IgnoredText | UnsetType = UNSET
    local_address: IgnoredText | UnsetType = UNSET


class Idempotency(Answer, kw_only=True):
    """What the Idempotency-Key did."""

    key: Annotated[str, Meta(description="The key.", examples=["order-4711"])]
    status: Annotated[
        Literal["MISS", "HIT"], Meta(description="HIT: an earlier request with this key sent the message.")
    ]


class SubmitResult(Answer, kw_only=True):
    """The message that was sent or waits for its time."""

    response: Annotated[str, Meta(description="What was done.", examples=[QUEUED])]
    message_id: Annotated[str, Meta(description="The Message-ID header.", examples=["<test@example.com>"])]
    queue_id: Annotated[
        str,
        Meta(
            description="The id of the submission, which its events have too.",
            examples=["5a3c0f6b1d2e4a7f8091b2c3d4e5f60718293a4b"],
        ),
    ]
    send_at: Annotated[Timestamp, Meta(description="When it was or will be sent.")]
    reference: ReferenceResult | UnsetType = UNSET
    idempotency: Idempotency | UnsetType = UNSET


@resource.post(
    "/v1/account/{account}/submit",
    Action.USE_MAILBOX,
    Scope.MAIL_SEND,
    bounds=MESSAGE_BOUNDS,
    refusals=[400, 404, 409],
    request_headers={KEY_HEADER: IdempotencyKey},
)
async def submit_message(
    app: App,
    caller: Caller,
    identify: Identify,
    account_id: AccountId,
    body: Submit,
    faults: Faults,
    request: func.HttpRequest,
) -> SubmitResult:
    """Send a message.

    Sends a new message, a reply or a forward (`reference`), or one in MIME (`raw`), from the mailbox, at once or at a
    time (`sendAt`). With the header `Idempotency-Key` (up to 256 characters without blanks), the message is sent once,
    however often the request is repeated within a day and whatever fails in between. A refused message frees the key.
    409 `outcome_unknown` says that it is unknown whether the message was sent: the same key never sends it again, and
    is answered with 200 once it is known to be sent.
    """
    if body.copy is False:
        faults.add("copy", "must be true: Exchange puts the copy into Sent Items")
    composition = composition_of(body, faults)
    order = _order(app, caller, request, body.send_at, faults)
    references = list[ReferenceResult | UnsetType]()
    session = MailSession(app, identify, account_id, Scope.MAIL_SEND)

    async def write_draft(message_id: str) -> str:
        draft = await compose(session, composition, composition.message_id or message_id)
        references.append(reference_result(composition, draft))
        return draft.id

    submitted = await submit(app, session, order._replace(message_id=composition.message_id), write_draft)
    return _result(submitted, order, *references)


@resource.post(
    "/v1/account/{account}/message/{message}/submit",
    Action.USE_MAILBOX,
    Scope.MAIL_SEND,
    bounds=MESSAGE_BOUNDS,
    body_optional=True,
    refusals=[400, 404, 409],
    request_headers={KEY_HEADER: IdempotencyKey},
)
async def submit_draft(
    app: App,
    caller: Caller,
    identify: Identify,
    account_id: AccountId,
    message_id: str,
    body: DraftSubmit,
    faults: Faults,
    request: func.HttpRequest,
) -> SubmitResult:
    """Send a draft.

    Sends a draft of the mailbox, if it is from the mailbox, at once or at a time (`sendAt`). `Idempotency-Key` works as
    for a new message. A draft that is refused stays.
    """
    order = _order(app, caller, request, body.send_at, faults, checked_id(message_id))
    session = MailSession(app, identify, account_id, Scope.MAIL_SEND)

    async def name_draft(_: str) -> str:
        return message_id

    return _result(await submit(app, session, order, name_draft), order)


def _order(
    app: App,
    caller: Caller,
    request: func.HttpRequest,
    send_at: datetime | UnsetType,
    faults: Faults,
    draft: str | None = None,
) -> Order:
    """What is asked for. Raises InvalidInput with every fault."""
    now, key = app.clock(), request.headers.get(KEY_HEADER)
    if key is not None and not KEY_PATTERN.fullmatch(key):
        faults.add(KEY_HEADER, "must be 1 to 256 characters of ASCII without blanks")
    if isinstance(send_at, datetime) and send_at > now + MAX_AHEAD:
        faults.add("sendAt", f"must be at most {MAX_AHEAD.days} days ahead")
    faults.refuse()
    content = json.dumps(read_object(request) if request.get_body() else {}, sort_keys=True)
    due = now if isinstance(send_at, UnsetType) else max(send_at, now)
    return Order(caller.id, key, digest((draft or "", content)), due, draft)


def _result(submitted: Submitted, order: Order, reference: ReferenceResult | UnsetType = UNSET) -> SubmitResult:
    submission = submitted.submission
    idempotency: Idempotency | UnsetType = UNSET
    if order.key is not None:
        idempotency = Idempotency(key=order.key, status="HIT" if submitted.is_repeated else "MISS")
    return SubmitResult(
        response=QUEUED,
        message_id=submission.message_id or submission.internet_message_id,
        queue_id=submission.id,
        send_at=moment(submission.send_at),
        reference=reference,
        idempotency=idempotency,
    )
