"""POST /v1/account: bind a further mailbox to a grant that is there, or ask for a link to sign in."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType

from shared.api.field_types import (
    AccountId,
    AppId,
    Email,
    EmailEngineFields,
    ExpectedTenant,
    IgnoredText,
    Name,
    RedirectUrl,
    SignInUrl,
)
from shared.api.registration_fields import ChangeMailbox, HandOutWhenBound
from shared.api.registrations import resource
from shared.api.sign_in_links import ForSharedMailboxes, Hint, own_mailbox_hint
from shared.domain.account import ExpectedPerson
from shared.domain.audit import Action
from shared.domain.caller import Caller, Scope
from shared.domain.errors import InvalidInput
from shared.domain.formats import same_address
from shared.domain.invited_mailbox import MailboxState
from shared.http.audit import add_to_audit
from shared.http.decoding import Body, Faults
from shared.http.responses import Answer
from shared.ports import App
from shared.usecases.sign_in import further, start
from shared.usecases.sign_in.further import FurtherAccount
from shared.usecases.sign_in.invitation import Invitation
from shared.usecases.sign_in.start import Started

# What the form calls otherwise than this route does.
NAMES = {"redirectUrl": "oauth2.redirectUrl", "type": "oauth2.provider"}


class GrantToUse(Body, kw_only=True):
    """The mailbox to bind, and the account whose grant to use."""

    delegated_user: Annotated[Email, Meta(description="The shared mailbox.")] | UnsetType = UNSET
    delegated_account: Annotated[AccountId, Meta(description="The account whose grant is used.")] | UnsetType = UNSET
    user: IgnoredText | UnsetType = UNSET


class GrantSource(Body, kw_only=True):
    """The OAuth app, and the grant or the sign-in to use."""

    provider: AppId | UnsetType = UNSET
    auth: GrantToUse | UnsetType = UNSET
    authorize: (
        Annotated[
            bool, Meta(description="Whether to return a sign-in link instead of using a grant.", examples=[False])
        ]
        | UnsetType
    ) = UNSET
    redirect_url: RedirectUrl | UnsetType = UNSET


class NewAccount(EmailEngineFields, kw_only=True):
    """An account to bind to an existing grant, or by a sign-in."""

    example: ClassVar[Mapping[str, Any]] = {
        "account": "sales",
        "name": "Sales",
        "oauth2": {
            "provider": "AAABiCtT7XUAAAAF",
            "auth": {"delegatedUser": "sales@contoso.example", "delegatedAccount": "shared"},
        },
    }

    oauth2: GrantSource
    account: AccountId | UnsetType | None = UNSET
    name: Name | UnsetType = UNSET
    email: Email | UnsetType = UNSET
    expected_email: Email | UnsetType = UNSET
    expected_tenant: ExpectedTenant | UnsetType = UNSET
    change_mailbox: ChangeMailbox | UnsetType = UNSET
    hand_out: HandOutWhenBound | UnsetType = UNSET


class AddedAccount(Answer, kw_only=True):
    """The bound account, or a sign-in link if the request asked for one."""

    delegated: ForSharedMailboxes
    account: AccountId | UnsetType = UNSET
    state: MailboxState | UnsetType = UNSET
    redirect: SignInUrl | UnsetType = UNSET
    hint: Hint | UnsetType = UNSET


@resource.post(
    "/v1/account",
    Action.ADD_ACCOUNT,
    Scope.REGISTER,
    further_scope=Scope.ACCOUNTS_WRITE,
    checks_reach=True,
    uses_form_limit=True,
    refusals=[400, 404, 409],
)
async def add_account(app: App, caller: Caller, body: NewAccount, faults: Faults) -> AddedAccount:
    """Add an account.

    Binds another mailbox to an existing grant, which needs the scope accounts:write too. If the account of that grant
    hands out no tokens, the new one does not either, unless an administrator asks for it with `handOut`. With
    `authorize` it returns a sign-in link instead.
    """
    add_to_audit(hand_out=None if body.hand_out is UNSET else body.hand_out)
    source = body.oauth2 or GrantSource()
    grant = source.auth or GrantToUse()
    if source.authorize:
        started = await _start(app, caller, _invitation(body, source, grant, faults), faults)
        answer = AddedAccount(redirect=started.url, delegated=started.delegated)
        if body.email and not started.delegated:
            answer.hint = own_mailbox_hint(body.email, 'send its address as "oauth2.auth.delegatedUser"')
        return answer
    caller.require_scope(Scope.ACCOUNTS_WRITE)
    wanted = _further_account(body, source, grant, faults)
    add_to_audit(account=wanted.account, target=wanted.through)
    added = await further.add_account(app, wanted, faults, caller)
    add_to_audit(account=added.account)
    return AddedAccount(account=added.account, state=added.state, delegated=True)


def _further_account(body: NewAccount, source: GrantSource, grant: GrantToUse, faults: Faults) -> FurtherAccount:
    """Faults name what is missing too."""
    if source.auth is UNSET:
        faults.add("oauth2.auth", "must be an object")
    if body.email and not same_address(body.email, grant.delegated_user or None):
        faults.add("email", "must be the mailbox that oauth2.auth.delegatedUser names, or absent")
    return FurtherAccount(
        account=body.account or None,
        name=body.name or None,
        mailbox=grant.delegated_user or None,
        expected=ExpectedPerson(body.expected_email or None, body.expected_tenant or None),
        provider=source.provider or None,
        through=grant.delegated_account or None,
        change_mailbox=bool(body.change_mailbox),
        hand_out=None if body.hand_out is UNSET else body.hand_out,
    )


def _invitation(body: NewAccount, source: GrantSource, grant: GrantToUse, faults: Faults) -> Invitation:
    """Where there is a `delegatedUser`, that is the shared mailbox; otherwise the signer's own is asked for."""
    if grant.delegated_account:
        faults.add("oauth2.auth.delegatedAccount", "must be absent with authorize: the sign-in makes the grant")
    return Invitation(
        redirect_url=source.redirect_url or None,
        account=body.account or None,
        name=body.name or None,
        email=grant.delegated_user or body.email or None,
        expected_email=body.expected_email or None,
        expected_tenant=body.expected_tenant or None,
        delegated=bool(grant.delegated_user),
        type=source.provider or None,
        change_mailbox=bool(body.change_mailbox),
        hand_out=None if body.hand_out is UNSET else body.hand_out,
    )


async def _start(app: App, caller: Caller, invitation: Invitation, faults: Faults) -> Started:
    """Start a registration. Raises what a form does, with its fields by their names on this route."""
    add_to_audit(account=invitation.account)
    try:
        started = await start.start_registration(app, invitation, faults, caller)
    except InvalidInput as invalid:
        renamed = {}
        for name, what in invalid.fields.items():
            here = NAMES.get(name, name)
            renamed[here] = what.replace(f'"{name}"', f'"{here}"')
        raise InvalidInput(renamed) from None
    add_to_audit(account=started.accounts[0], target=started.registration)
    return started
