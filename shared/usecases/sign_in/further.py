"""Bind a further mailbox with an existing grant, without a sign-in."""

from collections.abc import Mapping
from typing import NamedTuple

from shared.domain.account import MAILBOX_REPLACED, ExpectedPerson
from shared.domain.caller import Caller, Scope
from shared.domain.errors import BindingConflict, InvalidInput, NotBound, Unavailable
from shared.domain.grant import DelegatedGrant
from shared.domain.invited_mailbox import BindRequest, MailboxResult, MailboxState
from shared.domain.limit import LimitKind
from shared.domain.oauth_app import OAuthApp
from shared.domain.remedy import Reader, remedy
from shared.domain.tokens import TokenSet
from shared.domain.work import Work, WorkKind
from shared.ports import App, SignedIn
from shared.usecases.sign_in.binding import prove_and_bind
from shared.usecases.sign_in.proof import OTHER_SPELLING, AccessRefused
from shared.usecases.sign_in.start import new_account_id
from shared.usecases.sign_in.write_binding import CLAIM_LIFETIME
from shared.usecases.tokens.account_grant import look_up_account
from shared.usecases.tokens.account_token import renewed_grant

# Codes of conflicts with another account or person. Other codes are about the access of this person to this mailbox.
CONFLICT_CODES = {
    "principal_in_use",
    "wrong_principal",
    "other_kind",
    "other_mailbox",
    "other_app",
    "account_busy",
    OTHER_SPELLING,
    "own_mailbox",
    MAILBOX_REPLACED,
    "too_many_accounts",
}


class FurtherAccount(NamedTuple):
    """A request to bind `mailbox` with the grant that authorizes the account `through`.

    `hand_out` asks for an account that hands out tokens, or for one that does not.
    """

    account: str | None = None
    name: str | None = None
    mailbox: str | None = None
    expected: ExpectedPerson = ExpectedPerson()
    provider: str | None = None
    through: str | None = None
    change_mailbox: bool = False
    hand_out: bool | None = None


class Added(NamedTuple):
    """The account's id, and whether it existed before."""

    account: str
    state: MailboxState


async def add_account(app: App, request: FurtherAccount, faults: Mapping[str, str], caller: Caller) -> Added:
    """Probe the mailbox and bind it, by the same rules as after a sign-in.

    `faults` are those of the parsed request. Raises InvalidInput with all faults, Forbidden if the caller may not
    access both accounts or may not switch `hand_out` on, NotFound if `through` does not exist, NotAuthorized if its
    grant needs a sign-in, TooManyRequests (counted by grant), NotBound, and Unavailable if Microsoft does not answer.
    """
    for account_id in filter(None, (request.account, request.through)):
        caller.require_account(account_id)
    oauth_app = await app.oauth_apps.get(request.provider) if request.provider else None
    faults = _faults(request, oauth_app, caller) | dict(faults)
    if faults or oauth_app is None or request.through is None or request.mailbox is None:
        raise InvalidInput(faults)
    account, stored = await look_up_account(app, request.through)
    # Each request costs Graph calls for the person and the mailbox, so all callers that use the grant share a limit.
    app.rate_limit.count(LimitKind.ACCOUNT_BY_GRANT, f"{account.principal_id}|{account.app}")
    if account.app != oauth_app.id:
        raise InvalidInput({"oauth2.provider": '"oauth2.provider" is not the OAuth app of that account'})
    if request.hand_out and not account.hands_out:
        caller.require_scope(Scope.ADMIN)
    bind_request = BindRequest(
        by=app.entropy(32).hex(),
        account=request.account or new_account_id(app.entropy),
        email=request.mailbox,
        name=request.name,
        delegated=True,
        change_mailbox=request.change_mailbox,
        through=account.id,
        # The source may be switched off meanwhile, so only an administrator's request is more than the default.
        hand_out=None if request.hand_out and not caller.has_scope(Scope.ADMIN) else request.hand_out,
    )
    grant = stored.value
    if not grant.has_usable_token(app.clock()):
        grant = await renewed_grant(app, stored, grant.resource, hand_out=False)
    # If the process dies after it claimed the id, this row removes the claim.
    reap_time = app.clock() + 2 * CLAIM_LIFETIME
    await app.stores.agenda.add(Work(WorkKind.REAP, reap_time, bind_request.by, bind_request.account))
    result = await _bind_with_grant(app, bind_request, oauth_app, grant, request.expected)
    if result.state.is_bound:
        return Added(bind_request.account, result.state)
    raise _refusal(result)


async def _bind_with_grant(
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


def _faults(request: FurtherAccount, oauth_app: OAuthApp | None, caller: Caller) -> dict[str, str]:
    faults = {}
    if not request.account and caller.binding is not None:
        faults["account"] = '"account" is required for a caller that is bound to certain accounts'
    if oauth_app is None or not oauth_app.enabled:
        faults["oauth2.provider"] = '"oauth2.provider" must be the id of an enabled OAuth app'
    elif not oauth_app.credential_reuse:
        faults["oauth2.provider"] = '"oauth2.provider" must be an OAuth app with credentialReuse'
    if request.mailbox is None:
        faults["oauth2.auth.delegatedUser"] = '"oauth2.auth.delegatedUser" is required: it is the shared mailbox'
    if request.through is None:
        name = "oauth2.auth.delegatedAccount"
        faults[name] = f'"{name}" is required: the account whose grant opens it. With a sign-in, use the form'
    return faults


def _refusal(result: MailboxResult) -> NotBound | Unavailable:
    code = result.code or "unknown_failure"
    advice = remedy(code, Reader.CALLER)
    if result.state is MailboxState.WAITING_FOR_ACCESS:
        return Unavailable(code, f"{advice.what} Nothing was bound; try again in a moment.")
    return BindingConflict(code, advice.message) if code in CONFLICT_CODES else NotBound(code, advice.message)
