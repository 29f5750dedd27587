"""Refusals of the mail API beside Graph's own."""

from shared.domain.confined.refused import AnswerOverLimit, OutcomeUnknown
from shared.domain.errors import Conflict, MailbindError


class AttachmentIsLink(Conflict):
    """A reference attachment, which has no bytes (Graph: "Get attachment": its $value answers 405)."""

    code = "attachment_is_link"

    def __init__(self) -> None:
        super().__init__("This attachment is a link to a file in OneDrive or SharePoint. Open the link in the message")


class ContentOverLimit(AnswerOverLimit):
    """A message or an attachment that is larger than this app passes on."""

    def __init__(self, max_bytes: int) -> None:
        MailbindError.__init__(
            self,
            f"This is larger than {max_bytes // 2**20} MiB, which is the most that passes here. Read the attachments of"
            " a large message one by one. The operator can raise MAILBIND_MAX_ANSWER_MIB",
        )


class ChangeUnknown(OutcomeUnknown):
    """A message may have been changed or deleted, and no answer came."""

    def __init__(self) -> None:
        MailbindError.__init__(
            self,
            "Microsoft Graph did not answer, so it is unknown whether this was done. Send the request again: a message"
            " that was deleted for good is not found then",
        )
