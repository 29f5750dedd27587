"""Refusals that a caller is told about: a stable code and a sentence."""

from collections.abc import Mapping, Sequence
from datetime import timedelta


class MailbindError(Exception):
    """Base of all refusals. The message is for the caller and repeats nothing of what they sent."""

    code: str | None = None
    retry_after: timedelta | None = None


class InvalidInput(MailbindError):
    """The request itself is wrong: `fields` maps each wrong field to what is wrong with it."""

    code = "InvalidInput"

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__("Invalid input")
        self.fields = fields


class NotStorable(MailbindError):
    """Storage has no place for a value of the request: it is too large, or holds characters that cannot be stored."""

    code = "NotStorable"

    def __init__(self) -> None:
        super().__init__("A value of the request cannot be stored: shorten the longest one. Nothing was changed")


class InternalError(MailbindError):
    """A fault of Mailbind's. The log has one line about it, under the correlation id of the answer."""

    code = "InternalError"

    def __init__(self) -> None:
        super().__init__("Something went wrong in Mailbind. Tell the operator the X-Correlation-Id of this answer")


class Unauthorized(MailbindError):
    """No bearer token (RFC 6750 section 3)."""

    code = "Unauthorized"


class InvalidToken(Unauthorized):
    """A bearer token that means nothing to us, or nothing any more (RFC 6750 section 3.1, `invalid_token`)."""


class Forbidden(MailbindError):
    """A known caller who may not do this. `scope` names the scope that would do, if it is one that is missing."""

    code = "Forbidden"

    def __init__(self, message: str, scope: str | None = None) -> None:
        super().__init__(message)
        self.scope = scope


class MissingScope(Forbidden):
    """A caller who has none of these scopes (RFC 6750 section 3.1, `insufficient_scope`)."""

    def __init__(self, scopes: Sequence[str]) -> None:
        names = " or ".join(scopes)
        super().__init__(f"This needs the scope {names}. Ask your administrator for a token that has it", scopes[0])


class ForbiddenAddress(Forbidden):
    """A caller, known by `caller_id`, who may not call from this address."""

    def __init__(self, caller_id: str) -> None:
        super().__init__("The API token is not valid for the address that this request comes from")
        self.caller_id = caller_id


class NotFound(MailbindError):
    """There is no such thing."""

    code = "NotFound"


class Conflict(MailbindError):
    """Somebody else changed the same thing at the same time, again and again."""

    code = "Conflict"

    def __init__(self, message: str = "It is being changed by others; try again") -> None:
        super().__init__(message)


class LimitReached(Conflict):
    """The maximum number of something exists already; one has to be deleted before another is created."""

    code = "LimitReached"


class AppInUse(Conflict):
    """An OAuth app that accounts use."""

    code = "OAuthAppInUse"

    def __init__(self, accounts: int) -> None:
        super().__init__(
            f"{accounts} accounts use this OAuth app. Delete them or authorize them through another one, or force the"
            " removal: then they stay, and their tokens are renewed no more"
        )


class AppOfSettings(Conflict):
    """The OAuth app of the settings, which is there as long as they name it."""

    code = "OAuthAppOfSettings"

    def __init__(self) -> None:
        super().__init__("This OAuth app comes from the settings: change them, or disable it")


class TooManyRequests(MailbindError):
    """Over a limit (RFC 6585 section 4); after `retry_after` the next request passes."""

    code = "TooManyRequests"

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__("Rate limit exceeded")
        self.retry_after = retry_after


class NotAuthorized(MailbindError):
    """An account that cannot hand out a token until a person does something. `code` is its last error's."""

    account: str | None = None  # its id, where the call did not name it

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NotBound(MailbindError):
    """A mailbox that could not be bound, with nothing changed. `code` says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class BindingConflict(NotBound):
    """A mailbox that could not be bound because of what another account or person has already."""


class Unavailable(MailbindError):
    """Somebody we depend on does not answer; nothing was lost, and trying later makes sense."""

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


class StorageSetupWrong(StorageUnavailable):
    """Our own settings prevent every connection to storage, or it refuses this app: an operator has to act."""

    def __init__(self) -> None:
        Unavailable.__init__(
            self, "storage_setup", "Mailbind cannot use its storage. Nothing was lost; ask the operator."
        )


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


class KeySetupWrong(KeyUnavailable):
    """Our own settings prevent every connection to the vault: an operator has to act."""

    def __init__(self) -> None:
        Unavailable.__init__(
            self,
            "key_vault_setup",
            "Mailbind cannot open a trusted connection to its key vault. Nothing was lost; ask the operator.",
        )


class RowUnreadable(MailbindError):
    """A stored row that this code did not write: something else wrote it, or it is damaged."""

    code = "row_unreadable"

    def __init__(self, kind: str) -> None:
        super().__init__("Stored data cannot be read. Ask the operator to check the log.")
        self.add_note(f"it should be of the kind {kind}")


class StaleWrite(Exception):
    """The row changed since it was read, or is there already: read again, decide again."""


class SealBroken(MailbindError):
    """A sealed value does not open here: another record's, another key's, or changed. `why` is for the log."""

    code = "secrets_lost"

    def __init__(self, why: str) -> None:
        super().__init__(
            "Stored secrets cannot be decrypted with the configured keys. Ask the operator to restore the key. If it is"
            " lost, a new sign-in repairs the account."
        )
        self.why = why
        self.add_note(why)
