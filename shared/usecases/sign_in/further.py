"""Add an account: bind a further mailbox with an existing grant, without a sign-in."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain.account import ExpectedPerson
from shared.domain.caller import Caller
from shared.domain.errors import BindingConflict, InvalidInput, NotBound, Unavailable
from shared.domain.grant import DelegatedGrant
from shared.domain.invited_mailbox import BindRequest, MailboxResult, MailboxState
from shared.domain.limit import LimitKind
from shared.domain.oauth_app import OAuthApp
from shared.domain.remedy import remedy
from shared.domain.tokens import TokenSet
from shared.domain.work import Work, WorkKind
from shared.ports import App, SignedIn, Stored
from shared.usecases.sign_in.binding import prove_and_bind
from shared.usecases.sign_in.proof import AccessRefused
from shared.usecases.sign_in.start import new_account_id
from shared.usecases.sign_in.write_binding import CLAIM_LIFETIME
from shared.usecases.tokens.hand_out import look_up_account, renewed_grant

# Conflicts with another account or person; other codes are about this person and this mailbox.
TAKEN = {
    "principal_in_use",
    "wrong_principal",
    "other_kind",
    "other_mailbox",
    "other_app",
    "account_busy",
    "own_mailbox",
    "mailbox_replaced",
    "too_many_accounts",
}


@dataclass(frozen=True, slots=True)
class FurtherAccount:
    """The request: open `mailbox` with the grant that authorizes the account `through`."""

    account: str | None = None
    name: str | None = None
    mailbox: str | None = None
    expected: ExpectedPerson = ExpectedPerson()  # noqa: RUF009 - frozen
    provider: str | None = None
    through: str | None = None
    change_mailbox: bool = False


@dataclass(frozen=True, slots=True)
class Added:
    """The account's id, and whether it existed before."""

    account: str
    state: MailboxState


async def add_account(app: App, wanted: FurtherAccount, faults: Mapping[str, str], caller: Caller) -> Added:
    """Probe the mailbox and bind it, by the same rules as after a sign-in.

    `faults` were found while the request was parsed. Raises InvalidInput with all faults, Forbidden when the caller may
    not reach both accounts, NotFound when `through` is no account, NotAuthorized when its grant needs a person,
    TooManyRequests (counted by grant), NotBound, and Unavailable when Microsoft does not answer.
    """
    for account in filter(None, (wanted.account, wanted.through)):
        caller.require_account(account)
    oauth_app = await app.oauth_apps.get(wanted.provider) if wanted.provider else None
    faults = _faults(wanted, oauth_app, caller) | dict(faults)
    if faults or oauth_app is None or wanted.through is None or wanted.mailbox is None:
        raise InvalidInput(faults)
    held, stored = await look_up_account(app, wanted.through)
    # Each request asks Graph about the person and the mailbox, whichever callers share the grant.
    app.rate_limit.count(LimitKind.ACCOUNT_BY_GRANT, f"{held.principal_id}|{held.app}")
    if held.app != oauth_app.id:
        raise InvalidInput({"oauth2.provider": '"oauth2.provider" is not the OAuth app of that account'})
    request = BindRequest(
        by=app.entropy(32).hex(),
        account=wanted.account or new_account_id(app.entropy),
        email=wanted.mailbox,
        name=wanted.name,
        delegated=True,
        change_mailbox=wanted.change_mailbox,
        through=held.id,
    )
    grant = await _fresh_grant(app, stored)
    # If this process dies right after it claimed the id, this row releases the claim.
    await app.stores.agenda.add(Work(WorkKind.REAP, app.clock() + 2 * CLAIM_LIFETIME, request.by, request.account))
    result = await _bind_with(app, request, oauth_app, grant, wanted.expected)
    if result.state.is_bound:
        return Added(request.account, result.state)
    raise _refusal(result)


async def _fresh_grant(app: App, stored: Stored[DelegatedGrant]) -> DelegatedGrant:
    if stored.value.has_usable_token(app.clock()):
        return stored.value
    return await renewed_grant(app, stored, stored.value.resource, hand_out=False)


async def _bind_with(
    app: App, request: BindRequest, oauth_app: OAuthApp, grant: DelegatedGrant, expected: ExpectedPerson
) -> MailboxResult:
    tokens = TokenSet(
        grant.refresh_token, grant.access_token, grant.access_expires, grant.scopes, resource=grant.resource
    )
    try:
        results = await prove_and_bind(app, [request], oauth_app, SignedIn(grant.principal, tokens), expected)
    except AccessRefused as refused:
        return MailboxResult(MailboxState.REFUSED, refused.code)
    return results[request.account]


def _faults(wanted: FurtherAccount, oauth_app: OAuthApp | None, caller: Caller) -> dict[str, str]:
    faults = {}
    if not wanted.account and caller.binding is not None:
        faults["account"] = '"account" is required of a caller that is bound to certain accounts'
    if oauth_app is None or not oauth_app.enabled:
        faults["oauth2.provider"] = '"oauth2.provider" must be the id of an enabled OAuth app'
    elif not oauth_app.credential_reuse:
        faults["oauth2.provider"] = '"oauth2.provider" must be an OAuth app with credentialReuse'
    if wanted.mailbox is None:
        faults["oauth2.auth.delegatedUser"] = '"oauth2.auth.delegatedUser" is required: it is the shared mailbox'
    if wanted.through is None:
        name = "oauth2.auth.delegatedAccount"
        faults[name] = f'"{name}" is required: the account whose grant opens it. With a sign-in, use the form'
    return faults


def _refusal(result: MailboxResult) -> NotBound | Unavailable:
    code = result.code or "unknown_failure"
    message = f"{remedy(code).what} {remedy(code).action}"
    if result.state is MailboxState.WAITING_FOR_ACCESS:
        return Unavailable(code, f"{remedy(code).what} Nothing was bound; try again in a moment.")
    return BindingConflict(code, message) if code in TAKEN else NotBound(code, message)
