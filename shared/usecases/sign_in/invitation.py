"""Check an invitation: every fault of it at once."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from shared.domain.account import Account
from shared.domain.caller import Caller, Scope
from shared.domain.formats import MAX_REDIRECT_URL_BYTES, normalize_address, normalize_id, percent_encoded, same_address
from shared.domain.invited_mailbox import InvitedMailbox

# A property holds 32 Ki characters of UTF-16 (Understanding the Table service data model), and results are added.
LONGEST = 20_000
# What is added to a redirectUrl. If its own query had one of these, who reads the first of two would be misled.
ADDED = frozenset({"account", "state", "error", "error_description"})
ADDED_OF_SEVERAL = ADDED | {"registration", "accounts", "refused", "waiting"}


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a caller asks for: one mailbox, or several in `mailboxes`; `type` is an OAuth app's id.

    An account that has no id yet is empty in `mailboxes`. `principal_id` is whose sign-in alone will do. `named` says
    that the caller named the `email`, and not the account that exists.
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
    principal_id: str | None = None
    named: bool = True
    mailboxes: tuple[InvitedMailbox, ...] = ()

    @property
    def wanted(self) -> tuple[InvitedMailbox, ...]:
        """The mailboxes that are asked for, one or several."""
        named = self.named and self.email is not None
        return self.mailboxes or (InvitedMailbox(self.account or "", self.email, self.name, named=named),)

    def key(self, index: int, name: str) -> str:
        """What a field of one of the mailboxes is called in the form."""
        return f"mailboxes[{index}].{name}" if self.mailboxes else name


def invitation_faults(
    invitation: Invitation,
    existing: Sequence[Account | None],
    caller: Caller,
    app: str | None,
    origins: frozenset[str],
) -> dict[str, str]:
    """By field, what is wrong; `existing` are the accounts that are there, one for each mailbox."""
    faults: dict[str, str] = {}
    for index, (mailbox, account) in enumerate(zip(invitation.wanted, existing, strict=True)):
        faults |= _mailbox_faults(invitation, index, mailbox, account, caller, app)
    if app is None and len(invitation.wanted) > 1:
        faults["mailboxes"] = '"mailboxes" needs an enabled OAuth app with credentialReuse: one grant serves them all'
    elif app is None:
        told = '"type" must be the id of an enabled OAuth app'
        faults["type"] = told if invitation.type else '"type" is missing, and no OAuth app is enabled'
    added = ADDED_OF_SEVERAL if invitation.mailboxes else ADDED
    if fault := _redirect_fault(invitation.redirect_url, origins, added):
        faults["redirectUrl"] = fault
    return faults | _repetitions(invitation)


def _mailbox_faults(
    invitation: Invitation,
    index: int,
    mailbox: InvitedMailbox,
    existing: Account | None,
    caller: Caller,
    app: str | None,
) -> dict[str, str]:
    faults = {}
    account, email = invitation.key(index, "account"), invitation.key(index, "email")
    if not mailbox.account and caller.binding is not None:
        faults[account] = f'"{account}" is required of a caller that is bound to certain accounts'
    if invitation.mailboxes and not mailbox.email:
        faults[email] = f'"{email}" is required: it is the shared mailbox'
    elif invitation.delegated and not mailbox.email:
        faults[email] = f'"{email}" is required when "delegated" is true: it is the shared mailbox'
    if existing is not None and invitation.mailboxes and not existing.shared:
        faults[account] = f'"{account}" is there already, as a person\'s own mailbox'
    elif existing is not None and not invitation.mailboxes:
        faults |= _contradictions(invitation, existing)
    if existing is not None and not faults:
        faults |= _change_faults(invitation, email, mailbox, existing, caller)
        if app is not None and app != existing.app and not caller.has_scope(Scope.ACCOUNTS_WRITE):
            told = f"is not the OAuth app of the account, and another one needs the scope {Scope.ACCOUNTS_WRITE}"
            faults["type"] = f'"type" {told}'
    return faults


def _change_faults(
    invitation: Invitation, email: str, mailbox: InvitedMailbox, existing: Account, caller: Caller
) -> dict[str, str]:
    """An account that exists changes its person or mailbox only for a caller who may write accounts, and says so."""
    faults = {}
    if not caller.has_scope(Scope.ACCOUNTS_WRITE):
        for name, wanted in (
            ("allowPrincipalChange", invitation.allow_principal_change),
            ("changeMailbox", invitation.change_mailbox),
        ):
            if wanted:
                faults[name] = f'"{name}" needs the scope {Scope.ACCOUNTS_WRITE}, because the account exists'
    moved = mailbox.email is not None and not same_address(mailbox.email, existing.email)
    if not moved or invitation.change_mailbox:
        return faults
    if existing.shared:
        faults[email] = f'"{email}" is not the mailbox of the account: "changeMailbox": true replaces it'
    elif invitation.allow_principal_change:
        faults.setdefault("changeMailbox", '"changeMailbox" must be true: it is another person\'s own mailbox')
    return faults


def _repetitions(invitation: Invitation) -> dict[str, str]:
    faults = {}
    seen: set[tuple[str, str]] = set()
    for index, mailbox in enumerate(invitation.mailboxes):
        for name, text in (
            ("account", normalize_id(mailbox.account)),
            ("email", normalize_address(mailbox.email or "")),
        ):
            if text and (name, text) in seen:
                key = invitation.key(index, name)
                faults[key] = f'"{key}" is that of an earlier mailbox'
            seen.add((name, text))
    texts = json.dumps([(m.account, m.email, m.name) for m in invitation.mailboxes], ensure_ascii=False)
    if len(texts.encode("utf-16-le")) > 2 * LONGEST:
        faults["mailboxes"] = f'"mailboxes" must hold fewer than {LONGEST} characters in all'
    return faults


def _contradictions(invitation: Invitation, existing: Account) -> dict[str, str]:
    """What the form says of an account that exists and is otherwise: what kind it is never changes."""
    if existing.shared is invitation.delegated:
        return {}
    if not existing.shared:
        return {"delegated": '"delegated" must be false: the account exists, and is a person\'s own mailbox'}
    if invitation.email and not same_address(invitation.email, existing.email):
        return {
            "email": '"email" is not the mailbox of the account, which is a shared one: leave it out to reauthorize'
        }
    return {}


def _redirect_fault(url: str | None, origins: frozenset[str], added: frozenset[str]) -> str | None:
    if not url:
        return '"redirectUrl" is required'
    if len(percent_encoded(url)) > MAX_REDIRECT_URL_BYTES:
        return f'"redirectUrl" must be at most {MAX_REDIRECT_URL_BYTES} bytes long, percent-encoded'
    return _address_fault(url, origins, added)


def _address_fault(url: str, origins: frozenset[str], added: frozenset[str]) -> str | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return '"redirectUrl" must be a valid URL'
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None or "\\" in url:
        return '"redirectUrl" must be an absolute http or https URL'
    if origins and origin(parts.scheme, parts.hostname, port) not in origins:
        return '"redirectUrl" is outside of the allowed origins'
    if taken := next((name for name in _parameters(parts.query) if name in added), None):
        return f'"redirectUrl" must not have the query parameter "{taken}": Mailbind adds it itself'
    return None


def _parameters(query: str) -> list[str]:
    """The names in a query as frameworks read them: in any case, `account[0]` as `account`, and `;` like `&`."""
    pairs = parse_qsl(query.replace(";", "&"), keep_blank_values=True)
    return [name.partition("[")[0].strip().casefold() for name, _ in pairs]


def origin(scheme: str, host: str, port: int | None) -> str:
    """An origin as RFC 6454 section 6.2 writes it: without the scheme's default port."""
    default = {"http": 80, "https": 443}.get(scheme)
    return f"{scheme}://{host}" if port in {None, default} else f"{scheme}://{host}:{port}"
