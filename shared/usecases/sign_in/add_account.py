"""Add an account: bind a further mailbox to a grant that is there, without a sign-in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shared.domain.caller import Caller
from shared.domain.errors import InvalidInput, NotBound, Unavailable
from shared.domain.grant import DelegatedGrant
from shared.domain.invited_mailbox import BindRequest, MailboxResult, MailboxState
from shared.domain.limit import LimitKind
from shared.domain.oauth_app import OAuthApp
from shared.domain.principal import ExpectedPerson, TokenSet
from shared.domain.remedy import remedy
from shared.domain.work import Work, WorkKind
from shared.ports import Agenda, Clock, Entropy, OAuthApps, SignedIn, Stored
from shared.usecases import use_case
from shared.usecases.grants.hand_out import HandOut
from shared.usecases.grants.prove_access import AccessRefused
from shared.usecases.sign_in.bind_proven import BindProven
from shared.usecases.sign_in.claim_account import CLAIM_FOR
from shared.usecases.sign_in.start_registration import new_account_id

# What somebody else has to give up first; anything else is about this person and this mailbox.
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
    """What a caller asks for: `mailbox` is to be opened with the grant that authorizes the account `through`."""

    account: str | None = None
    name: str | None = None
    mailbox: str | None = None
    expected: ExpectedPerson = ExpectedPerson()  # noqa: RUF009 - frozen
    provider: str | None = None
    through: str | None = None
    change_mailbox: bool = False


@dataclass(frozen=True, slots=True)
class Added:
    """The account's id, and whether it was there before."""

    account: str
    state: MailboxState


@use_case
class AddAccount:
    """The mailbox is probed at once, as after a sign-in, and the rules of binding are the same."""

    apps: OAuthApps
    hand_out: HandOut
    limit: Callable[[LimitKind, str], None]
    bind: BindProven
    agenda: Agenda
    clock: Clock
    entropy: Entropy

    async def __call__(self, wanted: FurtherAccount, faults: Mapping[str, str], caller: Caller) -> Added:
        """Bind it. `faults` were found in reading it; raises InvalidInput with all there are.

        Raises Forbidden where the caller may not reach both accounts, NotFound when `through` is no account, NotBound,
        NotAuthorized when its grant needs a person, TooManyRequests for each grant, and Unavailable with nothing bound
        when Microsoft does not answer.
        """
        for account in filter(None, (wanted.account, wanted.through)):
            caller.require_account(account)
        app = await self.apps.get(wanted.provider) if wanted.provider else None
        faults = _faults(wanted, app, caller) | dict(faults)
        if faults or app is None or wanted.through is None or wanted.mailbox is None:
            raise InvalidInput(faults)
        held, stored = await self.hand_out.look_up(wanted.through)
        # Each call has Graph asked about the person and the mailbox, whichever callers share the grant.
        self.limit(LimitKind.ACCOUNT_BY_GRANT, f"{held.principal_id}|{held.app}")
        if held.app != app.id:
            raise InvalidInput({"oauth2.provider": '"oauth2.provider" is not the OAuth app of that account'})
        request = BindRequest(
            by=self.entropy(32).hex(),
            account=wanted.account or new_account_id(self.entropy),
            email=wanted.mailbox,
            name=wanted.name,
            delegated=True,
            change_mailbox=wanted.change_mailbox,
            through=held.id,
        )
        grant = await self._fresh(stored)
        # Should this process die right after it claimed the id, nobody else would give it back.
        await self.agenda.add(Work(WorkKind.REAP, self.clock() + 2 * CLAIM_FOR, request.by, request.account))
        result = await self._bind(request, app, grant, wanted.expected)
        if result.state.is_bound:
            return Added(request.account, result.state)
        raise _refusal(result)

    async def _fresh(self, stored: Stored[DelegatedGrant]) -> DelegatedGrant:
        if stored.value.has_usable_token(self.clock()):
            return stored.value
        return await self.hand_out.renewed(stored, stored.value.resource, hand_out=False)

    async def _bind(
        self, request: BindRequest, app: OAuthApp, grant: DelegatedGrant, expected: ExpectedPerson
    ) -> MailboxResult:
        tokens = TokenSet(
            grant.refresh_token, grant.access_token, grant.access_expires, grant.scopes, resource=grant.resource
        )
        try:
            results = await self.bind.each([request], app, SignedIn(grant.principal, tokens), expected)
        except AccessRefused as refused:
            return MailboxResult(MailboxState.REFUSED, refused.code)
        return results[request.account]


def _faults(wanted: FurtherAccount, app: OAuthApp | None, caller: Caller) -> dict[str, str]:
    faults = {}
    if not wanted.account and caller.binding is not None:
        faults["account"] = '"account" is required of a caller that is bound to certain accounts'
    if app is None or not app.enabled:
        faults["oauth2.provider"] = '"oauth2.provider" must be the id of an enabled OAuth app'
    elif not app.credential_reuse:
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
    return NotBound(code, message, 409 if code in TAKEN else 403)
