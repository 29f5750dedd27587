"""PUT and DELETE /v1/account/{account}, and its reconnect: change, remove and reconnect an account."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType

from shared.api.account_fields import HandOut, LastError
from shared.api.accounts import last_error, resource
from shared.api.field_types import AccountId, Deleted, Email, EmailEngineFields, Name
from shared.domain.account import AccountState
from shared.domain.audit import Action
from shared.domain.caller import Caller, Scope
from shared.domain.hand_out import hands_out
from shared.domain.remedy import Reader, remedy
from shared.http.audit import add_to_audit
from shared.http.decoding import Body, Faults
from shared.http.responses import Answer, moment
from shared.ports import App
from shared.usecases.accounts import change
from shared.usecases.tokens import probe
from shared.usecases.tokens.probe import Failed


class AccountChange(EmailEngineFields, kw_only=True):
    """The fields to change. What a sign-in has proven cannot be changed."""

    refused: ClassVar[Mapping[str, str]] = {
        **EmailEngineFields.refused,
        "oauth2": "must be absent: a grant is proven by a sign-in; use POST /v1/account/{account}/reauthorize",
    }
    example: ClassVar[Mapping[str, Any]] = {"name": "Help Desk"}

    name: Name | UnsetType = UNSET
    paused: (
        Annotated[
            bool,
            Meta(
                description="true pauses the account: Mailbind hands out no tokens. false resumes it.", examples=[True]
            ),
        ]
        | UnsetType
    ) = UNSET
    hand_out: (
        Annotated[
            bool,
            Meta(
                description="false: callers get no access tokens of the account, and use the mailbox through Mailbind."
                " true takes that back, which needs the scope admin.",
                examples=[False],
            ),
        ]
        | UnsetType
    ) = UNSET
    email: Annotated[Email, Meta(description="Must be the current one.")] | UnsetType = UNSET
    expected_email: Annotated[Email, Meta(description="Must be the current person.")] | UnsetType | None = UNSET


class ChangedAccount(Answer, kw_only=True):
    """The changed account."""

    account: AccountId
    state: AccountState
    hand_out: HandOut
    last_error: LastError | None


class RemovalQuery(Body, kw_only=True):
    """How to remove it."""

    revoke: (
        Annotated[bool, Meta(description="Accepted, but Entra offers apps no way to revoke a grant.", examples=[False])]
        | UnsetType
    ) = UNSET


class RemovedAccount(Answer, kw_only=True):
    """The removed account, and whether its tokens were deleted."""

    account: AccountId
    deleted: Deleted
    tokens_deleted: Annotated[
        bool,
        Meta(description="Whether the tokens were deleted, because it was the grant's last account.", examples=[True]),
    ]
    accounts_left: Annotated[
        int, Meta(description="The number of accounts that the grant still serves.", examples=[0], ge=0)
    ]
    revoked: (
        Annotated[bool, Meta(description="Always false: Entra offers apps no way to revoke a grant.")] | UnsetType
    ) = UNSET


class Reconnection(Body, kw_only=True):
    """Whether to reconnect at all."""

    reconnect: Annotated[bool, Meta(description="false does nothing.", examples=[True])] | UnsetType = UNSET


class Reconnected(Answer, kw_only=True):
    """Whether the account was reconnected, and its state afterwards. `error` says why it was not."""

    reconnect: Annotated[
        bool, Meta(description="Whether the grant was refreshed and the mailbox opened.", examples=[True])
    ]
    state: AccountState | UnsetType = UNSET
    last_error: LastError | UnsetType | None = UNSET
    error: LastError | UnsetType = UNSET


@resource.put("/v1/account/{account}", Action.CHANGE_ACCOUNT, Scope.ACCOUNTS_WRITE, refusals=[400, 404, 409])
async def change_account(
    app: App, caller: Caller, account_id: AccountId, body: AccountChange, faults: Faults
) -> ChangedAccount:
    """Change an account.

    Renames, pauses or resumes an account, or switches the hand-out of its tokens. Switching it on needs the scope
    admin too.
    """
    hand_out = None if body.hand_out is UNSET else body.hand_out
    add_to_audit(hand_out=hand_out)
    wanted = change.AccountChange(
        name=body.name or None,
        paused=None if body.paused is UNSET else body.paused,
        hand_out=hand_out,
        may_switch_on=caller.has_scope(Scope.ADMIN),
        email=body.email or None,
        expected_email=body.expected_email or None,
    )
    changed = await change.change_account(app, account_id, wanted, faults)
    return ChangedAccount(
        account=changed.id,
        state=changed.state,
        hand_out=hands_out(changed, setting=app.config.hand_out),
        last_error=last_error(changed),
    )


@resource.delete("/v1/account/{account}", Action.REMOVE_ACCOUNT, Scope.ACCOUNTS_WRITE, refusals=[400, 404, 409])
async def remove_account(app: App, account_id: AccountId, query: RemovalQuery) -> RemovedAccount:
    """Remove an account.

    Unbinds the account. Removing a grant's last account deletes its tokens.
    """
    left = (await change.remove_account(app, account_id)).still_served
    return RemovedAccount(
        account=account_id,
        deleted=True,
        tokens_deleted=left == 0,
        accounts_left=left,
        # Entra takes no refresh token back; a person ends their consent, or an administrator all of their sessions.
        revoked=False if query.revoke else UNSET,
    )


@resource.put(
    "/v1/account/{account}/reconnect",
    Action.RECONNECT_ACCOUNT,
    Scope.ACCOUNTS_WRITE,
    body_optional=True,
    refusals=[400, 404, 409],
)
async def reconnect_account(app: App, account_id: AccountId, body: Reconnection) -> Reconnected:
    """Reconnect an account.

    Refreshes the grant and opens the mailbox now. If either fails, `reconnect` is false and `error` says why; an outage
    or a refused OAuth app does not change the account's state. Each grant can be reconnected twice a minute.
    """
    if body.reconnect is False:
        return Reconnected(reconnect=False)
    account, failed = await probe.reconnect_account(app, account_id)
    return Reconnected(
        reconnect=failed is None,
        state=account.state,
        last_error=last_error(account),
        error=_reason(failed) if failed else UNSET,
    )


def _reason(failed: Failed) -> LastError:
    advice = remedy(failed.code, Reader.CALLER)
    return LastError(code=failed.code, description=advice.what, since=moment(failed.since), action=advice.action)
