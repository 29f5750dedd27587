"""Answers about registrations, accounts, access tokens and how the app is doing."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from shared.domain.account import AccountState
from shared.domain.clouds import Resource
from shared.domain.invited_mailbox import MailboxState
from shared.domain.registration import RegistrationStatus
from shared.triggers.description.words import (
    AccountId,
    Action,
    Answer,
    AppId,
    Code,
    Count,
    Email,
    Moment,
    Name,
    Page,
    RegistrationId,
    Sentence,
    SignInName,
    Total,
    Url,
)

Hidden = Annotated[str, Meta(description="Stars: it is there, and shown to nobody.", examples=["******"])]
Outlook = Annotated[Literal["outlook"], Meta(description="Always outlook.", examples=["outlook"])]
Deleted = Annotated[bool, Meta(description="That it is gone.", examples=[True])]
Said = Annotated[str, Meta(description="A word.", examples=["connected"])]
Counts = Annotated[dict[str, int], Meta(description="How many, by name.", examples=[{"connected": 3}])]


class FieldError(Answer, kw_only=True):
    """What is wrong with one field."""

    message: Annotated[str, Meta(description="What is wrong.", examples=['"redirectUrl" is required'])]
    key: Annotated[str, Meta(description="Which field.", examples=["redirectUrl"])]


class Error(Answer, kw_only=True):
    """What every refusal looks like. No value that was sent is repeated."""

    status_code: Annotated[int, Meta(description="The status.", examples=[400])]
    error: Annotated[str, Meta(description="The status in words.", examples=["Bad Request"])]
    message: Annotated[str, Meta(description="What is wrong, for people.", examples=["Invalid input"])]
    code: Annotated[str, Meta(description="A stable word for programs.", examples=["InvalidInput"])]
    fields: Annotated[list[FieldError], Meta(description="Every wrong field.")] | UnsetType = UNSET
    requested_scope: Annotated[str, Meta(description="The scope that is missing.")] | UnsetType = UNSET


class Link(Answer, kw_only=True):
    """A link for the person, told this once."""

    url: Url
    registration: RegistrationId
    expires: Moment


class Failure(Answer, kw_only=True):
    """Why a sign-in bound nothing."""

    code: Code
    description: Sentence
    action: Action


class MailboxOutcome(Answer, kw_only=True):
    """What became of one mailbox of a registration."""

    account: AccountId | None
    email: Email | None
    state: MailboxState
    code: Code | UnsetType = UNSET
    description: Sentence | UnsetType = UNSET
    action: Action | UnsetType = UNSET


class Registration(Answer, kw_only=True):
    """Where a registration stands."""

    registration: RegistrationId
    status: RegistrationStatus
    delegated: Annotated[bool, Meta(description="Whether it is for shared mailboxes.", examples=[True])]
    type: AppId | None
    created: Moment
    expires: Moment
    completed: Moment | None
    mailboxes: Annotated[list[MailboxOutcome], Meta(description="What became of each mailbox.")]
    account: AccountId | UnsetType | None = UNSET
    email: Email | UnsetType | None = UNSET
    state: MailboxState | UnsetType = UNSET
    failure: Failure | UnsetType = UNSET


class EndedRegistration(Answer, kw_only=True):
    """A registration that was ended. One that had bound its mailbox before stays completed."""

    registration: RegistrationId
    deleted: Annotated[bool, Meta(description="Whether its link was ended.", examples=[True])]
    status: RegistrationStatus


class LastError(Answer, kw_only=True):
    """Why an account is not connected, and what to do about it."""

    code: Code
    description: Sentence
    since: Moment
    action: Action


class AccountSummary(Answer, kw_only=True):
    """An account as listings show it."""

    account: AccountId
    name: Name
    email: Email
    type: Outlook
    delegated: Annotated[bool, Meta(description="Whether it is a shared mailbox.", examples=[True])]
    app: AppId
    state: AccountState
    user: SignInName
    created: Moment
    last_error: LastError | None


class Authorization(Answer, kw_only=True):
    """Who authorizes an account, and since when."""

    user: SignInName
    tenant_id: Annotated[str, Meta(description="Their tenant.")]
    object_id: Annotated[str, Meta(description="Their object id in it.")]
    since: Moment


class GrantUsed(Answer, kw_only=True):
    """Whose sign-in, for which mailbox."""

    user: SignInName
    delegated_user: Email | UnsetType = UNSET
    delegated_account: AccountId | UnsetType = UNSET


class Grant(Answer, kw_only=True):
    """The grant behind an account, in EmailEngine's words."""

    provider: AppId
    auth: GrantUsed
    scope: Annotated[list[str], Meta(description="What was granted.")]
    token_type: Annotated[str, Meta(description="Always Bearer.", examples=["Bearer"])]
    access_token: Hidden
    refresh_token: Hidden
    expires: Moment | None
    generated: Moment | None
    refresh_token_generated: Moment | None


class Account(AccountSummary, kw_only=True):
    """An account with who authorizes it, since when, and how long that lasts."""

    authorized_by: Authorization
    registration: RegistrationId
    base_scopes: Annotated[str, Meta(description="How its mailbox is opened.", examples=["api"])] | None
    last_refresh: Moment | None
    last_hand_out: Moment | None
    expires_if_idle: Moment | None
    secret_expires: Moment | None
    oauth2: Grant | None


class AccountPage(Answer, kw_only=True):
    """A page of accounts."""

    page: Page
    query: Annotated[str | bool, Meta(description="What was looked for, or false.", examples=[False])]
    state: Annotated[str, Meta(description="The state that was asked for, or *.", examples=["*"])]
    cursor: Annotated[str, Meta(description="For the page after this one.")] | None
    accounts: Annotated[list[AccountSummary], Meta(description="The accounts.")]
    total: Total | UnsetType = UNSET
    pages: Count | UnsetType = UNSET


class AddedAccount(Answer, kw_only=True):
    """The account that was bound, or a link to sign in when that was asked for."""

    account: AccountId | UnsetType = UNSET
    state: MailboxState | UnsetType = UNSET
    redirect: Url | UnsetType = UNSET


class ChangedAccount(Answer, kw_only=True):
    """Which account was changed."""

    account: AccountId


class RemovedAccount(Answer, kw_only=True):
    """What became of the account's tokens."""

    account: AccountId
    deleted: Deleted
    tokens_deleted: Annotated[bool, Meta(description="Whether it was the grant's last account.", examples=[True])]
    accounts_left: Annotated[int, Meta(description="How many the grant still serves.", examples=[0], ge=0)]
    revoked: Annotated[bool, Meta(description="Always false: Entra revokes nothing for apps.")] | UnsetType = UNSET


class Reconnected(Answer, kw_only=True):
    """How the account is, just refreshed and probed."""

    reconnect: Annotated[bool, Meta(description="Whether it was tried.", examples=[True])]
    state: AccountState | UnsetType = UNSET
    last_error: LastError | UnsetType | None = UNSET


class SaslResponse(Answer, kw_only=True):
    """What logs in by one protocol."""

    host: Annotated[str, Meta(description="The server.", examples=["outlook.office365.com"])]
    port: Annotated[int, Meta(description="Its port.", examples=[993])]
    security: Annotated[str, Meta(description="tls or starttls.", examples=["tls"])]
    user: Email
    xoauth2: Annotated[str, Meta(description="The initial response, ready to send.", examples=["dXNlcj0="])]


class AccessToken(Answer, kw_only=True):
    """An access token, good for five minutes at least."""

    account: AccountId
    user: SignInName
    email: Email
    access_token: Annotated[str, Meta(description="The token. Keep it out of logs.", examples=["eyJ0"])]
    provider: Outlook
    resource: Resource
    registered_scopes: Annotated[list[str], Meta(description="What it is good for.", examples=[["Mail.Read.Shared"]])]
    expires: Moment
    cached: Annotated[bool, Meta(description="Whether it was there already.", examples=[True])]
    app: AppId
    sasl: Annotated[dict[str, SaslResponse], Meta(description="By protocol: imap, pop, smtp.")] | UnsetType = UNSET


class Trouble(Answer, kw_only=True):
    """An OAuth app that Microsoft refuses, and what to do about it."""

    app: AppId
    code: Code
    aadsts: Annotated[int, Meta(description="Microsoft's number of it.", examples=[7000222])] | None
    since: Moment
    description: Sentence
    action: Action


class Health(Answer, kw_only=True):
    """How the app is."""

    success: Annotated[bool, Meta(description="Whether all is well.", examples=[True])]
    storage: Annotated[str, Meta(description="ok, or what is wrong with it.", examples=["ok"])]


class LastTick(Answer, kw_only=True):
    """What the last run of the timer did."""

    began: Moment
    seconds: Annotated[float, Meta(description="How long it took.", examples=[0.4])]
    outcomes: Counts
    handed_over: Annotated[list[str], Meta(description="Shards that a queue took over.")]


class EventCounts(Answer, kw_only=True):
    """Events on their way."""

    to_fan_out: Count
    waiting: Count
    parked: Count


class Stats(Answer, kw_only=True):
    """What is counted."""

    accounts: Counts
    grants: Counts
    due: Count
    overdue: Count
    capped: Annotated[bool, Meta(description="Whether there are more than were counted.", examples=[False])]
    oldest_overdue_seconds: Annotated[float, Meta(description="How late the oldest is.", examples=[0])]
    last_tick: LastTick | None
    swept: Moment | None
    mended: Count
    sweep_failures: Annotated[list[str], Meta(description="Steps of the last sweep that failed.", examples=[["apps"]])]
    breakers: Annotated[list[Trouble], Meta(description="OAuth apps that Microsoft refuses.")]
    events: EventCounts
