"""POST /v1/account/{account}/message: write a draft."""

from dataclasses import replace
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from shared.api.field_types import PLAIN, AccountId, one_of
from shared.api.mail.composed import composition_of
from shared.api.mail.message_fields import FolderPath, MessageId, ThreadId
from shared.api.mail.resource import resource
from shared.api.mail.submission_fields import MessageFields
from shared.domain.audit import Action
from shared.domain.caller import Scope
from shared.domain.formats import domain_of
from shared.domain.mail.composition import Composition
from shared.domain.mail.folders import SpecialUse
from shared.http.bounds import MESSAGE_BOUNDS
from shared.http.decoding import Faults
from shared.http.responses import Answer
from shared.ports import App
from shared.usecases.mail.compose import DRAFTS, Draft, compose
from shared.usecases.mail.folders import MAX_PATH_CHARACTERS, resolve_destination
from shared.usecases.mail.session import Identify, MailSession

FLAGS = ("\\Draft", "\\Seen", "\\Flagged")


class DraftUpload(MessageFields, kw_only=True):
    """A draft to write. It is from the mailbox, and nothing is sent."""

    path: (
        Annotated[
            str,
            Meta(
                description="Its folder; Drafts by default.",
                examples=["Drafts"],
                max_length=MAX_PATH_CHARACTERS,
                pattern=PLAIN,
            ),
        ]
        | UnsetType
    ) = UNSET
    flags: (
        Annotated[
            list[Annotated[str, one_of(FLAGS)]],
            Meta(description="Flags. Without them the draft is read. Every message is a draft.", examples=[["\\Seen"]]),
        ]
        | UnsetType
    ) = UNSET


class ReferenceResult(Answer, kw_only=True):
    """What came of the reference."""

    message: MessageId
    success: Annotated[bool, Meta(description="Whether the message was there.", examples=[True])]
    error: Annotated[str, Meta(description="What is wrong.")] | UnsetType = UNSET


class WrittenDraft(Answer, kw_only=True):
    """The draft."""

    id: MessageId
    path: FolderPath
    thread_id: ThreadId
    message_id: Annotated[str, Meta(description="The Message-ID header.", examples=["<test@example.com>"])]
    reference: ReferenceResult | UnsetType = UNSET


@resource.post(
    "/v1/account/{account}/message",
    Action.USE_MAILBOX,
    Scope.MAIL_WRITE,
    bounds=MESSAGE_BOUNDS,
    refusals=[400, 404, 409],
)
async def write_draft(
    app: App, identify: Identify, account_id: AccountId, body: DraftUpload, faults: Faults
) -> WrittenDraft:
    """Write a draft.

    Writes a message into a folder of the mailbox without sending it: a new one, a reply or a forward (`reference`), or
    one in MIME (`raw`). It is from the mailbox. POST …/message/{message}/submit sends it.
    """
    composition = composition_of(body, faults)
    faults.refuse()
    if body.flags is not UNSET:
        composition = replace(composition, is_read="\\Seen" in body.flags, is_flagged="\\Flagged" in body.flags)
    session = MailSession(app, identify, account_id, Scope.MAIL_WRITE)
    folder = await resolve_destination(session, body.path or SpecialUse.DRAFTS)
    message_id = composition.message_id or await _new_message_id(session)
    folder_id = DRAFTS if folder.special_use is SpecialUse.DRAFTS else folder.id
    draft = await compose(session, composition, message_id, folder_id)
    return WrittenDraft(
        id=draft.id,
        path=folder.path,
        thread_id=draft.thread_id,
        message_id=draft.internet_message_id,
        reference=reference_result(composition, draft),
    )


def reference_result(composition: Composition, draft: Draft) -> ReferenceResult | UnsetType:
    """What came of the reference, if there is one."""
    if composition.reference is None:
        return UNSET
    missing = draft.is_reference_missing
    error = "The message was not there, so this one begins a conversation" if missing else UNSET
    return ReferenceResult(message=composition.reference.message, success=not missing, error=error)


async def _new_message_id(session: MailSession) -> str:
    account = await session.account()
    return f"<{session.app.entropy(16).hex()}@{domain_of(account.email)}>"
