"""Refusals of calls that would leave the mailbox, or that confined access does not know."""

from datetime import timedelta

from shared.domain.errors import Forbidden, MailbindError

TABLE = "docs/confined-access.md lists what is possible"


class NotConfined(Forbidden):
    """The call is not in the table of operations, or would reach beyond the mailbox. Nothing was sent to Graph."""

    code = "not_confined"


class WrongSender(Forbidden):
    """A message that is to be from another mailbox than the bound one. Nothing was sent to Graph."""

    code = "wrong_sender"

    def __init__(self, mailbox: str) -> None:
        super().__init__(f"Messages can be from {mailbox} only. Leave out from and sender, or use this address")


class BadMailRequest(MailbindError):
    """The request itself is wrong. Nothing was sent to Graph."""

    code = "BadRequest"


class LinkNotValid(MailbindError):
    """A next link or delta link that belongs to another account, or was changed.

    Graph documents `syncStateNotFound` for a delta link that can no longer be used (Graph: "Use delta query to track
    changes", synchronization reset): clients then start again.
    """

    code = "syncStateNotFound"

    def __init__(self) -> None:
        super().__init__("This link is not one that this mailbox was given. Start again without it")


class OutcomeUnknown(MailbindError):
    """Graph was called, and no answer came."""

    code = "outcome_unknown"

    def __init__(self) -> None:
        super().__init__(
            "Microsoft Graph did not answer, so it is unknown whether this was done. Look before you send it again:"
            " a message that was sent is in Sent Items, one that was not is still in Drafts"
        )


class AnswerNotUnderstood(MailbindError):
    """Graph answered in a way that cannot be passed on."""

    code = "graph_answer_unexpected"

    def __init__(self) -> None:
        super().__init__("Graph's answer cannot be passed on. Tell the operator the request-id of this answer")


class AnswerOverLimit(MailbindError):
    """An answer of Graph that is larger than this app passes on. The call had its effect."""

    code = "answer_too_large"

    def __init__(self, max_bytes: int) -> None:
        super().__init__(
            f"The answer is larger than {max_bytes // 2**20} MiB. Ask for less with $top or $select, or read"
            " attachments one by one. The operator can raise MAILBIND_MAX_ANSWER_MIB"
        )


class AnswerTooDense(AnswerOverLimit):
    """An answer of Graph with more objects than this app works through. The call had its effect."""

    def __init__(self, max_objects: int) -> None:
        MailbindError.__init__(
            self,
            f"The answer has more than {max_objects} objects. Ask for less with $top or $select, or for fewer messages",
        )


class DependencyFailed(MailbindError):
    """A part of a batch that depends on one that failed (Graph: "Combine multiple HTTP requests", dependsOn)."""

    code = "FailedDependency"

    def __init__(self) -> None:
        super().__init__("Not sent, because a request that it depends on failed")


class PartNotSent(MailbindError):
    """A part of a batch whose turn came too late."""

    code = "part_not_sent"
    retry_after = timedelta(seconds=10)

    def __init__(self) -> None:
        super().__init__("Not sent, because the batch took too long. Send this request again by itself")
