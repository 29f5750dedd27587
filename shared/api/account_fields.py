"""The fields of accounts in queries and answers."""

from typing import Annotated

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
)
from shared.api.oauth_app_answers import RefusedApp
from shared.domain.account import AccountState
from shared.http.responses import Answer

MAX_FILTER_BYTES = 256  # so that all filters and the cursor of the next page fit into a URL
# Callers of EmailEngine may ask for its other states too; no account is ever in one of those.
STATES = [*AccountState, "unset", "connecting", "syncing", "disconnected"]

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
