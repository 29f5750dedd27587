"""Check what a caller asks for when it requests a link, and report all faults at once."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from shared.domain.account import Account
from shared.domain.caller import Caller, Scope
from shared.domain.formats import MAX_REDIRECT_URL_BYTES, normalize_address, normalize_id, percent_encoded, same_address
from shared.domain.invited_mailbox import InvitedMailbox

# A property holds 32 Ki characters of UTF-16 (Understanding the Table service data model). The results need the rest.
MAX_MAILBOX_LIST_CHARACTERS = 20_000
# Mailbind adds these parameters to redirectUrl. If its query had one of them already, a reader that takes the first of
# two would get the wrong one.
ADDED_PARAMETERS = frozenset({"account", "state", "error", "error_description"})
ADDED_PARAMETERS_FOR_SEVERAL = ADDED_PARAMETERS | {"registration", "accounts", "refused", "waiting"}


@dataclass(frozen=True, slots=True)
class Invitation:
    """A caller's request for a link: one mailbox, or several in `mailboxes`. `type` is the id of an OAuth app.

    The account of a mailbox is empty if it has no id yet. With a `principal_id`, only that principal may sign in.
    `named` says that the caller named the `email`; otherwise it was copied from the existing account. `hand_out` says
    whether the accounts shall hand out tokens; None leaves existing ones as they are.
    """

    redirect_url: str | None = None
    account: str | None = None
    name: str | None = None
    email: str | None = None
    expected_email: str | None = None
    expected_tenant: str | None = None
    delegated: bool = False
    type: str | None = None
    allow_principal_change: bool = False
    change_mailbox: bool = False
    hand_out: bool | None = None
    principal_id: str | None = None
    named: bool = True
    mailboxes: tuple[InvitedMailbox, ...] = ()

    @property
    def requested_mailboxes(self) -> tuple[InvitedMailbox, ...]:
        """The requested mailboxes, one or several."""
        named = self.named and self.email is not None
        return self.mailboxes or (InvitedMailbox(self.account or "", self.email, self.name, named=named),)

    def field_name(self, index: int, name: str) -> str:
        """The name in the form of a field of one mailbox."""
        return f"mailboxes[{index}].{name}" if self.mailboxes else name


def invitation_faults(
    invitation: Invitation,
    existing: Sequence[Account | None],
    caller: Caller,
    app: str | None,
    origins: frozenset[str],
) -> dict[str, str]:
    """Return the faults by field. `existing` has the existing account of each mailbox, or None."""
    faults: dict[str, str] = {}
    for index, (mailbox, account) in enumerate(zip(invitation.requested_mailboxes, existing, strict=True)):
        faults |= _mailbox_faults(invitation, index, mailbox, account, caller, app)
    if app is None and len(invitation.requested_mailboxes) > 1:
        faults["mailboxes"] = '"mailboxes" needs an enabled OAuth app with credentialReuse: one grant serves them all'
    elif app is None:
        unknown_app = '"type" must be the id of an enabled OAuth app'
        faults["type"] = unknown_app if invitation.type else '"type" is missing, and no OAuth app is enabled'
    added_parameters = ADDED_PARAMETERS_FOR_SEVERAL if invitation.mailboxes else ADDED_PARAMETERS
    if fault := _redirect_fault(invitation.redirect_url, origins, added_parameters):
        faults["redirectUrl"] = fault
    return faults | _mailbox_list_faults(invitation)


def _mailbox_faults(
    invitation: Invitation,
    index: int,
    mailbox: InvitedMailbox,
    existing: Account | None,
    caller: Caller,
    app: str | None,
) -> dict[str, str]:
    faults = {}
    account, email = invitation.field_name(index, "account"), invitation.field_name(index, "email")
    if existing is not None and existing.id != mailbox.account:
        # Keys ignore case, so this id would silently lead to the other account.
        return {account: f'"{account}" differs only in case from the id of an account that exists: "{existing.id}"'}
    if not mailbox.account and caller.binding is not None:
        faults[account] = f'"{account}" is required for a caller that is bound to certain accounts'
    if invitation.mailboxes and not mailbox.email:
        faults[email] = f'"{email}" is required: it is the shared mailbox'
    elif invitation.delegated and not mailbox.email:
        faults[email] = f'"{email}" is required when "delegated" is true: it is the shared mailbox'
    if existing is not None and invitation.mailboxes and not existing.shared:
        faults[account] = f'"{account}" exists already, as a person\'s own mailbox'
    elif existing is not None and not invitation.mailboxes:
        faults |= _kind_faults(invitation, existing)
    if existing is not None and not faults:
        faults |= _hand_out_faults(invitation, existing, caller)
        faults |= _change_faults(invitation, email, mailbox, existing, caller)
        if app is not None and app != existing.app and not caller.has_scope(Scope.ACCOUNTS_WRITE):
            reason = f"is not the OAuth app of the account, and another one needs the scope {Scope.ACCOUNTS_WRITE}"
            faults["type"] = f'"type" {reason}'
    return faults


def _change_faults(
    invitation: Invitation, email: str, mailbox: InvitedMailbox, existing: Account, caller: Caller
) -> dict[str, str]:
    """An existing account gets another person or mailbox only if the form says so and the caller may write accounts."""
    faults = {}
    if not caller.has_scope(Scope.ACCOUNTS_WRITE):
        for name, is_requested in (
            ("allowPrincipalChange", invitation.allow_principal_change),
            ("changeMailbox", invitation.change_mailbox),
        ):
            if is_requested:
                faults[name] = f'"{name}" needs the scope {Scope.ACCOUNTS_WRITE}, because the account exists'
    is_other_mailbox = mailbox.email is not None and not same_address(mailbox.email, existing.email)
    if not is_other_mailbox or invitation.change_mailbox:
        return faults
    if existing.shared:
        faults[email] = f'"{email}" is not the mailbox of the account: "changeMailbox": true replaces it'
    elif invitation.allow_principal_change:
        faults.setdefault("changeMailbox", '"changeMailbox" must be true: it is another person\'s own mailbox')
    return faults


def _hand_out_faults(invitation: Invitation, existing: Account, caller: Caller) -> dict[str, str]:
    """A form never switches an existing account on, and switches it off for callers who may write accounts."""
    if invitation.hand_out is None or invitation.hand_out is existing.hands_out:
        return {}
    if invitation.hand_out:
        reason = f"a caller with the scope {Scope.ADMIN} switches it on: PUT /v1/account/{{account}}"
        return {"handOut": f'"handOut" must be false or absent, because the account hands out no tokens; {reason}'}
    if caller.has_scope(Scope.ACCOUNTS_WRITE):
        return {}
    return {"handOut": f'"handOut" needs the scope {Scope.ACCOUNTS_WRITE}, because the account exists'}


def _mailbox_list_faults(invitation: Invitation) -> dict[str, str]:
    faults = {}
    seen: set[tuple[str, str]] = set()
    for index, mailbox in enumerate(invitation.mailboxes):
        for name, value in (
            ("account", normalize_id(mailbox.account)),
            ("email", normalize_address(mailbox.email or "")),
        ):
            if value and (name, value) in seen:
                field_name = invitation.field_name(index, name)
                faults[field_name] = f'"{field_name}" repeats that of an earlier mailbox'
            seen.add((name, value))
    texts = json.dumps([(m.account, m.email, m.name) for m in invitation.mailboxes], ensure_ascii=False)
    if len(texts.encode("utf-16-le")) > 2 * MAX_MAILBOX_LIST_CHARACTERS:
        faults["mailboxes"] = f'"mailboxes" must hold fewer than {MAX_MAILBOX_LIST_CHARACTERS} characters in all'
    return faults


def _kind_faults(invitation: Invitation, existing: Account) -> dict[str, str]:
    """The kind of an account never changes: it is a shared mailbox or a person's own mailbox."""
    if existing.shared is invitation.delegated:
        return {}
    if not existing.shared:
        return {"delegated": '"delegated" must be false: the account exists, and is a person\'s own mailbox'}
    if invitation.email and not same_address(invitation.email, existing.email):
        return {"email": '"email" is not the shared mailbox of the account: leave it out to reauthorize'}
    return {}


def _redirect_fault(url: str | None, origins: frozenset[str], added_parameters: frozenset[str]) -> str | None:
    if not url:
        return '"redirectUrl" is required'
    if len(percent_encoded(url)) > MAX_REDIRECT_URL_BYTES:
        return f'"redirectUrl" must be at most {MAX_REDIRECT_URL_BYTES} bytes long, percent-encoded'
    return _url_fault(url, origins, added_parameters)


def _url_fault(url: str, origins: frozenset[str], added_parameters: frozenset[str]) -> str | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return '"redirectUrl" must be a valid URL'
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None or "\\" in url:
        return '"redirectUrl" must be an absolute http or https URL'
    if origins and origin(parts.scheme, parts.hostname, port) not in origins:
        return '"redirectUrl" is outside the allowed origins'
    if name := next((name for name in _parameter_names(parts.query) if name in added_parameters), None):
        return f'"redirectUrl" must not have the query parameter "{name}", because Mailbind adds it'
    return None


def _parameter_names(query: str) -> list[str]:
    """The parameter names of a query as frameworks read them: in any case, `account[0]` as `account`, `;` as `&`."""
    pairs = parse_qsl(query.replace(";", "&"), keep_blank_values=True)
    return [name.partition("[")[0].strip().casefold() for name, _ in pairs]


def origin(scheme: str, host: str, port: int | None) -> str:
    """An origin as RFC 6454 section 6.2 writes it: without the scheme's default port."""
    default = {"http": 80, "https": 443}.get(scheme)
    return f"{scheme}://{host}" if port in {None, default} else f"{scheme}://{host}:{port}"
