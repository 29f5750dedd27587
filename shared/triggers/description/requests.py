"""Bodies and queries about registrations, accounts, access tokens and API tokens."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from shared.domain.caller import Scope
from shared.domain.clouds import Resource
from shared.triggers.account_filter import MOST
from shared.triggers.accounts import STATES
from shared.triggers.authentication_form import MOST_MAILBOXES
from shared.triggers.description.words import (
    PLAIN,
    WORD,
    AccountId,
    AppId,
    Back,
    Body,
    Email,
    Moment,
    Name,
    Page,
    PageSize,
    Text,
    formatted,
)
from shared.triggers.oauth_token import LONGEST_CLAIMS
from shared.triggers.tokens import LONGEST_LIFE

NoEffect = Annotated[str, Meta(description="Taken for callers of EmailEngine; without effect here.")]
NoEffectSwitch = Annotated[bool, Meta(description="Taken for callers of EmailEngine; without effect here.")]
NoEffectAny = Annotated[list[Any], Meta(description="Taken for callers of EmailEngine; without effect here.")]
NoEffectList = Annotated[list[str], Meta(description="Taken for callers of EmailEngine; without effect here.")]
StateName = Annotated[
    str, Meta(description="Only accounts in this state.", examples=["connected"], extra_json_schema={"enum": STATES})
]
ExpectedTenant = Annotated[
    str,
    formatted("uuid", "The id of the tenant that the person must belong to.", "7c3f1e52-5d1b-4a57-9a0e-2f6c7f1d9b10"),
]
OneAccount = Annotated[str, Meta(description="One account.", examples=["shared"], max_length=256, pattern=WORD)]
Accounts = Annotated[
    list[OneAccount],
    Meta(description="Certain accounts.", min_length=1, max_length=MOST, examples=[["shared"]]),
]
Prefix = Annotated[
    str,
    Meta(description="All accounts whose ids begin so.", examples=["tenant1-"], max_length=256, pattern=WORD),
]


ChangeMailbox = Annotated[
    bool,
    Meta(
        description="Whether an existing account may be given another mailbox. Needs the scope accounts:write.",
        examples=[False],
    ),
]


class InvitedMailbox(Body, kw_only=True):
    """One of several mailboxes that a link is for."""

    email: Email
    account: AccountId | UnsetType = UNSET
    name: Name | UnsetType = UNSET


class RegistrationForm(Body, kw_only=True):
    """Which mailbox is to be bound, and where the person's browser goes afterwards."""

    redirect_url: Back
    account: AccountId | UnsetType | None = UNSET
    name: Name | UnsetType = UNSET
    email: Email | UnsetType = UNSET
    expected_email: (
        Annotated[
            str,
            formatted(
                "email",
                "The person who has to sign in, by their user principal name; by their mail address only where all"
                " people of the OAuth app are of one tenant, or with `expectedTenant`.",
                "alice@contoso.example",
                max_length=320,
            ),
        ]
        | UnsetType
    ) = UNSET
    expected_tenant: ExpectedTenant | UnsetType = UNSET
    delegated: (
        Annotated[bool, Meta(description="Whether `email` is a shared mailbox.", examples=[True])] | UnsetType
    ) = UNSET
    type: AppId | UnsetType = UNSET
    allow_principal_change: (
        Annotated[
            bool,
            Meta(
                description="Whether another person may take over an existing account. Needs the scope accounts:write.",
                examples=[False],
            ),
        ]
        | UnsetType
    ) = UNSET
    change_mailbox: ChangeMailbox | UnsetType = UNSET
    mailboxes: (
        Annotated[
            list[InvitedMailbox],
            Meta(
                description="Several shared mailboxes in place of `account`, `name` and `email`.",
                min_length=1,
                max_length=MOST_MAILBOXES,
            ),
        ]
        | UnsetType
    ) = UNSET
    sync_from: NoEffect | UnsetType = UNSET
    notify_from: NoEffect | UnsetType = UNSET
    subconnections: NoEffectList | UnsetType = UNSET
    path: NoEffectList | UnsetType = UNSET


class Reauthorization(Body, kw_only=True):
    """Where the browser goes after the repair."""

    redirect_url: Back


class GrantToUse(Body, kw_only=True):
    """Which mailbox to bind, and whose grant to use."""

    delegated_user: Annotated[Email, Meta(description="The shared mailbox.")] | UnsetType = UNSET
    delegated_account: Annotated[AccountId, Meta(description="The account whose grant is used.")] | UnsetType = UNSET
    user: NoEffect | UnsetType = UNSET


class GrantSource(Body, kw_only=True):
    """Through which OAuth app, and with what grant or sign-in."""

    provider: AppId | UnsetType = UNSET
    auth: GrantToUse | UnsetType = UNSET
    authorize: (
        Annotated[bool, Meta(description="Ask for a link to sign in, in place of using a grant.", examples=[False])]
        | UnsetType
    ) = UNSET
    redirect_url: Back | UnsetType = UNSET


class IgnoredOfAccounts(Body, kw_only=True):
    """Fields about fetching and sending mail."""

    sync_from: NoEffect | UnsetType = UNSET
    notify_from: NoEffect | UnsetType = UNSET
    smtp_ehlo_name: NoEffect | UnsetType = UNSET
    imap_indexer: NoEffect | UnsetType = UNSET
    locale: NoEffect | UnsetType = UNSET
    tz: NoEffect | UnsetType = UNSET
    proxy: NoEffect | UnsetType = UNSET
    copy: NoEffectSwitch | UnsetType = UNSET
    logs: NoEffectSwitch | UnsetType = UNSET
    path: NoEffectAny | UnsetType = UNSET
    subconnections: NoEffectAny | UnsetType = UNSET


class NewAccount(IgnoredOfAccounts, kw_only=True):
    """An account to be bound to a grant that is there, or by a sign-in."""

    oauth2: GrantSource
    account: AccountId | UnsetType | None = UNSET
    name: Name | UnsetType = UNSET
    email: Email | UnsetType = UNSET
    expected_email: Email | UnsetType = UNSET
    expected_tenant: ExpectedTenant | UnsetType = UNSET
    change_mailbox: ChangeMailbox | UnsetType = UNSET


class AccountChange(IgnoredOfAccounts, kw_only=True):
    """What is to be another one. What a sign-in proved cannot be changed."""

    name: Name | UnsetType = UNSET
    paused: (
        Annotated[bool, Meta(description="true pauses: nothing is handed out. false resumes.", examples=[True])]
        | UnsetType
    ) = UNSET
    email: Annotated[Email, Meta(description="Has to be what it is.")] | UnsetType = UNSET
    expected_email: Annotated[Email, Meta(description="Has to be who it is.")] | UnsetType | None = UNSET


class Reconnection(Body, kw_only=True):
    """May be left out."""

    reconnect: Annotated[bool, Meta(description="false asks for nothing at all.", examples=[True])] | UnsetType = UNSET


class AccountsQuery(Body, kw_only=True):
    """Which accounts, and which page of them."""

    page: Page | UnsetType = UNSET
    page_size: PageSize | UnsetType = UNSET
    state: StateName | UnsetType = UNSET
    query: Annotated[Text, Meta(description="A part of id, name or address.", examples=["support"])] | UnsetType = UNSET
    cursor: (
        Annotated[str, Meta(description="Goes on after the page that told it.", max_length=2048, pattern=PLAIN)]
        | UnsetType
    ) = UNSET
    app: Annotated[Text, Meta(description="Only accounts of this OAuth app.")] | UnsetType = UNSET
    email: Annotated[Email, Meta(description="Only accounts of this mailbox.")] | UnsetType = UNSET
    authorized_by: (
        Annotated[
            str,
            Meta(
                description="Only accounts of this person: a sign-in name, an object id, or tenant.object.",
                examples=["alice@contoso.example"],
                max_length=320,
                pattern=PLAIN,
            ),
        ]
        | UnsetType
    ) = UNSET


class RemovalQuery(Body, kw_only=True):
    """How to remove."""

    revoke: (
        Annotated[bool, Meta(description="Taken, and answered: Entra revokes nothing for apps.", examples=[False])]
        | UnsetType
    ) = UNSET


class TokenQuery(Body, kw_only=True):
    """Which access token."""

    resource: Annotated[Resource, Meta(description="What the token is for.", examples=["graph"])] | UnsetType = UNSET
    sasl: (
        Annotated[bool, Meta(description="Whether to add what logs in to IMAP, POP and SMTP.", examples=[False])]
        | UnsetType
    ) = UNSET
    expected_email: (
        Annotated[
            Email,
            Meta(description="The mailbox that the caller expects. Another one is answered by 409."),
        ]
        | UnsetType
    ) = UNSET


class ClaimsChallenge(TokenQuery, kw_only=True):
    """What an API asked for when it refused the token that is there."""

    claims: Annotated[
        str,
        Meta(
            description="The challenge's claims: JSON, as it is or in base64. Members of `access_token` may be acrs,"
            " nbf, xms_rp_ipaddr, capolids and polids.",
            examples=['{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'],
            max_length=LONGEST_CLAIMS,
            extra_json_schema={"format": "claims"},
        ),
    ]


class PageQuery(Body, kw_only=True):
    """Which page."""

    page: Page | UnsetType = UNSET
    page_size: PageSize | UnsetType = UNSET


class Restrictions(Body, kw_only=True):
    """From where a token may be used."""

    addresses: Annotated[
        list[Annotated[str, formatted("ip-range", "An IP address, or a range of them.", "203.0.113.0/24")]],
        Meta(description="IP addresses and ranges.", min_length=1, max_length=MOST),
    ]


class TokenWish(Body, kw_only=True):
    """What an API token shall open. What is left out does not limit; what is empty is refused."""

    description: Annotated[
        str, Meta(description="What it is for.", examples=["order desk"], min_length=1, max_length=1024, pattern=WORD)
    ]
    scopes: Annotated[
        list[Scope],
        Meta(description="What its holder may do.", examples=[["oauth-token"]], min_length=1, max_length=MOST),
    ]
    account: OneAccount | UnsetType = UNSET
    accounts: Accounts | UnsetType = UNSET
    account_prefix: Prefix | UnsetType = UNSET
    restrictions: Restrictions | UnsetType = UNSET
    expires: Moment | UnsetType = UNSET
    ttl: (
        Annotated[
            int,
            Meta(
                description="Seconds until it ends, in place of `expires`.", examples=[7_776_000], ge=1, le=LONGEST_LIFE
            ),
        ]
        | UnsetType
    ) = UNSET


Provider = Literal["outlook"]
