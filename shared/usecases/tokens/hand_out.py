"""Hand out an access token to a caller: valid for at least five more minutes, or the answer to a claims challenge."""

from datetime import datetime
from functools import partial
from typing import NamedTuple

from shared.domain.account import Account
from shared.domain.clouds import Resource
from shared.domain.hand_out import HAND_OUT_DISABLED, hands_out
from shared.domain.secret import Secret
from shared.ports import App
from shared.usecases.tokens.account_grant import not_authorized
from shared.usecases.tokens.account_token import AccountToken, account_token, challenged_token


class HandedOut(NamedTuple):
    """An access token for one mailbox. `cached` is false if Entra issued it for this request."""

    account: str
    resource: Resource
    sign_in_name: str
    email: str
    access_token: Secret
    scopes: tuple[str, ...]
    expires: datetime
    cached: bool
    app: str


async def hand_out(app: App, account_id: str, resource: Resource | None = None) -> HandedOut:
    """Give a caller the token of `account_token`. Raises what that raises, and NotAuthorized if hand-out is off."""
    return _handed_out(await account_token(app, account_id, resource, check=partial(_check_hands_out, app)))


async def answer_challenge(app: App, account_id: str, claims: str, resource: Resource | None = None) -> HandedOut:
    """Give a caller a token with the claims of a challenge, checked by `parse_challenge`; see `challenged_token`.

    Raises NotAuthorized if hand-out is off.
    """
    return _handed_out(await challenged_token(app, account_id, claims, resource, check=partial(_check_hands_out, app)))


def _check_hands_out(app: App, account: Account) -> None:
    if not hands_out(account, setting=app.config.hand_out):
        raise not_authorized(HAND_OUT_DISABLED)


def _handed_out(given: AccountToken) -> HandedOut:
    account, grant, token, cached = given
    return HandedOut(
        account=account.id,
        resource=token.resource,
        sign_in_name=grant.principal.sign_in_name,
        email=account.email,
        access_token=token.token,
        scopes=token.scopes,
        expires=token.expires,
        cached=cached,
        app=grant.app,
    )
