"""Refusals that a caller is told about: a stable code, a status, a sentence."""

from collections.abc import Collection, Mapping
from datetime import timedelta


class MailbindError(Exception):
    """Base of all refusals. The message is for the caller and repeats nothing of what they sent."""

    status = 500
    code: str | None = None
    retry_after: timedelta | None = None


class InvalidInput(MailbindError):
    """The request itself is wrong: `fields` maps each wrong field to what is wrong with it."""

    status = 400
    code = "InvalidInput"

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__("Invalid input")
        self.fields = fields


class InvalidJson(MailbindError):
    """The body is not JSON."""

    status = 400
    code = "InvalidJson"


class MethodNotAllowed(MailbindError):
    """The path is a route of ours, but not by this method (RFC 9110 section 15.5.6); `allowed` are those that are."""

    status = 405
    code = "MethodNotAllowed"

    def __init__(self, allowed: Collection[str]) -> None:
        super().__init__(f"This route answers {', '.join(allowed)} only")
        self.allowed = allowed


class LengthRequired(MailbindError):
    """The body came without a Content-Length, and therefore not at all (RFC 9110 section 15.5.12)."""

    status = 411
    code = "LengthRequired"

    def __init__(self) -> None:
        super().__init__("Chunked bodies do not arrive here. Send the body whole, with a Content-Length header")


class TooLarge(MailbindError):
    """The body is over the limit (RFC 9110 section 15.5.14)."""

    status = 413
    code = "BodyTooLarge"


class UriTooLong(MailbindError):
    """The path or the query is over the limit (RFC 9110 section 15.5.15)."""

    status = 414
    code = "UriTooLong"


class UnsupportedMediaType(MailbindError):
    """The body is of a type that the route does not read (RFC 9110 section 15.5.16)."""

    status = 415
    code = "UnsupportedMediaType"


class HeadersTooLarge(MailbindError):
    """The headers are over the limit (RFC 6585 section 5)."""

    status = 431
    code = "HeadersTooLarge"


class NotStorable(MailbindError):
    """Storage has no place for a value of the request: it is too large, or holds characters that cannot be stored."""

    status = 400
    code = "NotStorable"

    def __init__(self) -> None:
        super().__init__("A value of the request cannot be stored: shorten the longest one. Nothing was changed")


class InternalError(MailbindError):
    """A fault of Mailbind's. The log has one line about it, under the correlation id of the answer."""

    status = 500
    code = "InternalError"

    def __init__(self) -> None:
        super().__init__("Something went wrong in Mailbind. Tell the operator the X-Correlation-Id of this answer")


class Unauthorized(MailbindError):
    """No bearer token (RFC 6750 section 3)."""

    status = 401
    code = "Unauthorized"


class InvalidToken(Unauthorized):
    """A bearer token that means nothing to us, or nothing any more (RFC 6750 section 3.1, `invalid_token`)."""


class Forbidden(MailbindError):
    """A known caller who may not do this. `scope` names the scope that would do, if it is one that is missing."""

    status = 403
    code = "Forbidden"

    def __init__(self, message: str, scope: str | None = None) -> None:
        super().__init__(message)
        self.scope = scope


class NotFound(MailbindError):
    """There is no such thing."""

    status = 404
    code = "NotFound"


class Conflict(MailbindError):
    """Somebody else changed the same thing at the same time, again and again."""

    status = 409
    code = "Conflict"


class MailboxChanged(Conflict):
    """The account opens another mailbox than the caller expects."""

    code = "mailbox_changed"

    def __init__(self) -> None:
        super().__init__(
            "The account opens another mailbox than expectedEmail says, and no token was handed out. Read the account:"
            " GET /v1/account/{account}"
        )


class LimitReached(Conflict):
    """The maximum number of something exists already; one has to be deleted before another is created."""

    code = "LimitReached"


class AppInUse(Conflict):
    """An OAuth app that accounts use."""

    code = "OAuthAppInUse"

    def __init__(self, accounts: int) -> None:
        super().__init__(
            f"{accounts} accounts use this OAuth app. Delete them or authorize them through another one, or repeat with"
            " ?force=true: then they stay, and their tokens are renewed no more"
        )


class AppOfSettings(Conflict):
    """The OAuth app of the settings, which is there as long as they name it."""

    code = "OAuthAppOfSettings"

    def __init__(self) -> None:
        super().__init__('This OAuth app comes from the settings: change them, or disable it with {"enabled": false}')


class TooManyRequests(MailbindError):
    """Over a limit (RFC 6585 section 4); after `retry_after` the next request passes."""

    status = 429
    code = "TooManyRequests"

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__("Rate limit exceeded")
        self.retry_after = retry_after


class NotAuthorized(MailbindError):
    """An account that cannot hand out a token until a person does something. `code` is its last error's."""

    status = 403

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NotBound(MailbindError):
    """A mailbox that could not be bound, with nothing changed. `code` says why."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class Unavailable(MailbindError):
    """Somebody we depend on does not answer; nothing was lost, and trying later makes sense."""

    status = 503

    def __init__(self, code: str, message: str, retry_after: timedelta = timedelta(seconds=10)) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after


class EntraBusy(Unavailable):
    """Too many calls to Entra are in progress here, and this one was not made."""

    def __init__(self) -> None:
        super().__init__(
            "entra_unavailable",
            "Microsoft's sign-in service answers slowly, and too many calls are waiting. Try again in a moment.",
        )


class StorageUnavailable(Unavailable):
    """Table Storage does not answer."""

    def __init__(self) -> None:
        super().__init__("storage_unavailable", "Storage does not answer. Nothing was lost; try again in a moment.")


class KeyUnavailable(Unavailable):
    """The key-encryption key is out of reach; what is open already goes on."""

    def __init__(self) -> None:
        super().__init__(
            "key_vault_unavailable", "The key vault does not answer. Nothing was lost; try again in a moment."
        )


class KeyRefused(KeyUnavailable):
    """The vault answers, and will not let this app use the key: an operator has to act."""

    def __init__(self) -> None:
        Unavailable.__init__(
            self,
            "key_vault_refused",
            "The key vault does not let Mailbind use its key, because the key is disabled or gone, or the app may not"
            " use it. Nothing was lost. Ask the operator to enable the key or to give the app its role.",
        )


class RowUnreadable(MailbindError):
    """A stored row that this code did not write: something else wrote it, or it is damaged."""

    status = 503
    code = "row_unreadable"

    def __init__(self, kind: str) -> None:
        super().__init__("Stored data cannot be read. Ask the operator to check the log.")
        self.add_note(f"it should be of the kind {kind}")


class StaleWrite(Exception):
    """The row changed since it was read, or is there already: read again, decide again."""


class SealBroken(MailbindError):
    """A sealed value does not open here: another record's, another key's, or changed. `why` is for the log."""

    status = 503
    code = "secrets_lost"

    def __init__(self, why: str) -> None:
        super().__init__(
            "Stored secrets cannot be decrypted with the configured keys. Ask the operator to restore the key. If it is"
            " lost, a new sign-in repairs the account."
        )
        self.why = why
        self.add_note(why)
