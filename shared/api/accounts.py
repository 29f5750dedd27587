"""GET /v1/accounts and /v1/account/{account}: list and read accounts."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from shared.api.field_types import (
    MAX_ADDRESS_BYTES,
    PLAIN,
    AccountId,
    AppId,
    Code,
    Email,
    Hidden,
    Name,
    Outlook,
    Page,
    PageQuery,
    Pages,
    RegistrationId,
    RemedyText,
    Sentence,
    SignInName,
    Text,
    Timestamp,
    Total,
    one_of,
    page_count,
)
from shared.api.oauth_apps import RefusedApp, refused_app
from shared.domain import account as accounts
from shared.domain.account import AccountState
from shared.domain.audit import Action
from shared.domain.caller import Caller, Scope
from shared.domain.clouds import Resource as MailResource
from shared.domain.grant import DelegatedGrant
from shared.domain.hand_out import hands_out
from shared.domain.oauth_app import OAuthApp
from shared.domain.remedy import Reader, remedy
from shared.domain.secret import MASK
from shared.http.operations import Resource
from shared.http.responses import Answer, moment
from shared.ports import App
from shared.usecases.accounts import read
from shared.usecases.accounts.read import AccountDetails, AccountQuery
from shared.usecases.apps.circuit_breaker import refused_apps

MAX_FILTER_BYTES = 256  # so that all filters and the cursor of the next page fit into a URL
# Callers of EmailEngine may ask for its other states too; no account is ever in one of those.
STATES = [*AccountState, "unset", "connecting", "syncing", "disconnected"]

resource = Resource("Accounts", "Bound mailboxes and their states.")

HandOut = Annotated[
    bool,
    Meta(
        description="Whether callers get its access tokens. Otherwise they use the mailbox through Mailbind.",
        examples=[True],
    ),
]


class AccountsQuery(PageQuery, kw_only=True):
    """Which accounts, and which page of them, to return."""

    state: (
        Annotated[
            str,
            one_of(STATES, description="Only accounts in this state.", examples=["connected"]),
        ]
        | UnsetType
    ) = UNSET
    query: (
        Annotated[
            Text,
            Meta(
                description="Part of an id, name or address.",
                examples=["support"],
                extra={"max_bytes": MAX_FILTER_BYTES},
            ),
        ]
        | UnsetType
    ) = UNSET
    cursor: (
        Annotated[
            str,
            Meta(
                description="The `cursor` of the page before.",
                examples=["WyJwIiwicm93Il0="],
                max_length=2048,
                pattern=PLAIN,
            ),
        ]
        | UnsetType
    ) = UNSET
    app: (
        Annotated[
            Text,
            Meta(
                description="Only accounts of this OAuth app.",
                examples=["AAABiCtT7XUAAAAF"],
                extra={"max_bytes": MAX_FILTER_BYTES},
            ),
        ]
        | UnsetType
    ) = UNSET
    email: Annotated[Email, Meta(description="Only accounts of this mailbox.")] | UnsetType = UNSET
    authorized_by: (
        Annotated[
            str,
            Meta(
                description="Only accounts of this person: a sign-in name, an object id, or tenant.object.",
                examples=["alice@contoso.example"],
                max_length=320,
                pattern=PLAIN,
                extra={"max_bytes": MAX_ADDRESS_BYTES},
            ),
        ]
        | UnsetType
    ) = UNSET


class LastError(Answer, kw_only=True):
    """The reason why an account is not connected, and what to do about it."""

    code: Code
    description: Sentence
    since: Annotated[Timestamp, Meta(description="When it happened first.")]
    action: RemedyText


class AccountSummary(Answer, kw_only=True):
    """An account in a list."""

    account: AccountId
    name: Name
    email: Email
    type: Outlook
    delegated: Annotated[bool, Meta(description="Whether it is a shared mailbox.", examples=[True])]
    app: AppId
    state: AccountState
    hand_out: HandOut
    user: SignInName
    created: Annotated[Timestamp, Meta(description="When the account was bound first.")]
    last_error: LastError | None


class Authorization(Answer, kw_only=True):
    """The person who authorizes an account, and since when."""

    user: SignInName
    tenant_id: Annotated[
        str, Meta(description="The id of the person's tenant.", examples=["7c3f1e52-5d1b-4a57-9a0e-2f6c7f1d9b10"])
    ]
    object_id: Annotated[
        str,
        Meta(description="The person's object id in the tenant.", examples=["b1a6a0de-0000-4000-8000-0000000000a1"]),
    ]
    since: Annotated[Timestamp, Meta(description="When this person bound the mailbox.")]


class GrantUsed(Answer, kw_only=True):
    """The person who signed in, and the mailbox."""

    user: SignInName
    delegated_user: Email | UnsetType = UNSET
    delegated_account: AccountId | UnsetType = UNSET


class Grant(Answer, kw_only=True):
    """The grant behind an account, as EmailEngine names its fields."""

    provider: AppId
    auth: GrantUsed
    scope: Annotated[list[str], Meta(description="The granted scopes.", examples=[["Mail.ReadWrite.Shared"]])]
    token_type: Annotated[str, Meta(description="Always Bearer.", examples=["Bearer"])]
    access_token: Hidden
    refresh_token: Hidden
    expires: Annotated[Timestamp, Meta(description="When the access token expires.")] | None
    generated: Annotated[Timestamp, Meta(description="When the access token was issued.")] | None
    refresh_token_generated: Annotated[Timestamp, Meta(description="When the grant was last refreshed.")] | None


class Account(AccountSummary, kw_only=True):
    """An account with who authorizes it, since when, and how long that lasts."""

    authorized_by: Authorization
    registration: RegistrationId
    base_scopes: Annotated[str, Meta(description="How Mailbind opens the mailbox.", examples=["api"])] | None
    last_refresh: Annotated[Timestamp, Meta(description="When the grant was last refreshed.")] | None
    last_hand_out: Annotated[Timestamp, Meta(description="When a token was last handed out, to the hour.")] | None
    expires_if_idle: (
        Annotated[Timestamp, Meta(description="When the grant ends if it is never refreshed again.")] | None
    )
    secret_expires: (
        Annotated[Timestamp, Meta(description="When the OAuth app's credential expires, if that is known.")] | None
    )
    oauth2: Grant | None


class AccountPage(Answer, kw_only=True):
    """A page of accounts."""

    page: Page
    query: Annotated[str | bool, Meta(description="The query of the request, or false.", examples=[False])]
    state: Annotated[str, Meta(description="The state of the request, or *.", examples=["*"])]
    cursor: (
        Annotated[str, Meta(description="Leads to the next page; null on the last one.", examples=["WyJwIiwicm93Il0="])]
        | None
    )
    accounts: Annotated[list[AccountSummary], Meta(description="The accounts.")]
    refused_apps: Annotated[
        list[RefusedApp], Meta(description="OAuth apps of these accounts that Microsoft refuses: no grant is renewed.")
    ]
    total: Total | UnsetType = UNSET
    pages: Pages | UnsetType = UNSET


@resource.get("/v1/accounts", Action.LIST_ACCOUNTS, Scope.ACCOUNTS_READ, checks_reach=True, refusals=[400])
async def list_accounts(app: App, caller: Caller, query: AccountsQuery) -> AccountPage:
    """List accounts.

    Lists up to 50,000 accounts by page, and any number by cursor, at the same cost for every page.
    """
    wanted = AccountQuery(
        page=query.number,
        page_size=query.size,
        state=query.state or None,
        query=query.query or None,
        cursor=query.cursor or None,
        app=query.app or None,
        email=query.email or None,
        authorized_by=query.authorized_by or None,
    )
    page = await read.list_accounts(app, wanted, caller)
    refused = await refused_apps(app, (account.app for account in page.accounts))
    return AccountPage(
        page=query.number,
        query=query.query or False,
        state=query.state or "*",
        cursor=page.cursor,
        accounts=[AccountSummary(**summary(app, account)) for account in page.accounts],
        refused_apps=[refused_app(each) for each in refused],
        total=UNSET if page.total is None else page.total,
        pages=UNSET if page.total is None else page_count(page.total, query.size),
    )


@resource.get("/v1/account/{account}", Action.READ_ACCOUNT, Scope.ACCOUNTS_READ, refusals=[404])
async def get_account(app: App, account_id: AccountId) -> Account:
    """Get an account.

    Returns the state of an account, who authorizes it and since when, and what to do if something is wrong.
    """
    return describe(app, await read.read_account(app, account_id))


def summary(app: App, account: accounts.Account) -> dict[str, Any]:
    """The fields of AccountSummary.

    `type` is `outlook` for every one of them. EmailEngine's `delegated` is an account that borrows another account's
    tokens; here each account has its grant itself, and `delegated` says that the mailbox is a shared one.
    """
    return {
        "account": account.id,
        "name": account.name,
        "email": account.email,
        "type": "outlook",
        "delegated": account.shared,
        "app": account.app,
        "state": account.state,
        "hand_out": hands_out(account, setting=app.config.hand_out),
        "user": account.sign_in_name,
        "created": moment(account.created),
        "last_error": last_error(account),
    }


def last_error(account: accounts.Account) -> LastError | None:
    """Why the account is not connected, and what to do about it."""
    error = account.last_error
    if error is None:
        return None
    advice = remedy(error.code, Reader.CALLER)
    return LastError(code=error.code, description=advice.what, since=moment(error.since), action=advice.action)


def describe(app: App, details: AccountDetails) -> Account:
    """An account with who authorizes it, since when, and how long that lasts. `lastHandOut` may be an hour old."""
    account, grant, oauth_app = details.account, details.grant, details.app
    tenant_id, _, object_id = account.principal_id.partition(".")
    return Account(
        **summary(app, account),
        authorized_by=Authorization(
            user=account.sign_in_name, tenant_id=tenant_id, object_id=object_id, since=moment(account.bound)
        ),
        registration=account.registration,
        base_scopes=_base_scopes(oauth_app) if oauth_app else None,
        last_refresh=moment(grant.last_refreshed) if grant else None,
        last_hand_out=moment(grant.last_handed_out) if grant else None,
        expires_if_idle=moment(grant.expires_if_idle) if grant else None,
        secret_expires=moment(oauth_app.secret_expires) if oauth_app else None,
        oauth2=_grant(account, grant) if grant else None,
    )


def _base_scopes(app: OAuthApp) -> str:
    """The contract has one word for what an app may do in mailboxes; with scopes for both it is `api`."""
    return "imap" if app.primary_resource is MailResource.OUTLOOK else "api"


def _grant(account: accounts.Account, grant: DelegatedGrant) -> Grant:
    return Grant(
        provider=account.app,
        auth=GrantUsed(
            user=grant.principal.sign_in_name,
            delegated_user=account.email if account.shared else UNSET,
            delegated_account=UNSET if account.through is None else account.through,
        ),
        scope=list(grant.scopes),
        token_type="Bearer",  # noqa: S106 - RFC 6750's name of the type
        access_token=MASK,
        refresh_token=MASK,
        expires=moment(grant.access_expires),
        generated=moment(grant.refreshed),
        refresh_token_generated=moment(grant.last_refreshed),
    )
