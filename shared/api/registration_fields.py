"""The fields of registrations in requests and answers."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType

from shared.api.field_types import (
    AccountId,
    AppId,
    Code,
    Email,
    ExpectedTenant,
    IgnoredText,
    IgnoredTexts,
    Name,
    RedirectUrl,
    RegistrationId,
    RemedyText,
    Sentence,
    Timestamp,
)
from shared.api.sign_in_links import ForSharedMailboxes
from shared.domain.invited_mailbox import MailboxState
from shared.domain.registration import RegistrationStatus
from shared.http.decoding import Body
from shared.http.responses import Answer

MAX_MAILBOXES = 50

AllowPrincipalChange = Annotated[
    bool,
    Meta(
        description="Whether another person may take over an existing account. Needs the scope accounts:write.",
        examples=[False],
    ),
]
ChangeMailbox = Annotated[
    bool,
    Meta(
        description="Whether an existing account may change its mailbox. Needs the scope accounts:write.",
        examples=[False],
    ),
]

HandOutWhenBound = Annotated[
    bool,
    Meta(
        description="false: callers get no access tokens of what is bound, and use the mailbox through Mailbind.",
        examples=[False],
    ),
]


class InvitedMailbox(Body, kw_only=True):
    """One of several mailboxes that a link is for."""

    email: Email
    account: AccountId | UnsetType = UNSET
    name: Name | UnsetType = UNSET


class RegistrationForm(Body, kw_only=True):
    """The mailbox to bind, and the URL to which the person's browser returns."""

    example: ClassVar[Mapping[str, Any]] = {
        "account": "shared",
        "name": "Shared Account",
        "email": "support@contoso.example",
        "delegated": True,
        "redirectUrl": "https://myapp.example/account/settings.php",
    }

    redirect_url: RedirectUrl
    account: AccountId | UnsetType | None = UNSET
    name: Name | UnsetType = UNSET
    email: Email | UnsetType = UNSET
    expected_email: (
        Annotated[
            Email,
            Meta(
                description="The person who has to sign in, by user principal name. A mail address works only if the"
                " OAuth app is for one tenant, or with `expectedTenant`.",
                examples=["alice@contoso.example"],
            ),
        ]
        | UnsetType
    ) = UNSET
    expected_tenant: ExpectedTenant | UnsetType = UNSET
    delegated: (
        Annotated[
            bool,
            Meta(
                description="Whether `email` is a shared mailbox. Otherwise the link binds the own mailbox of the"
                " person who signs in.",
                examples=[True],
            ),
        ]
        | UnsetType
    ) = UNSET
    type: Annotated[AppId, Meta(extra={"absent": (False,)})] | UnsetType = UNSET
    allow_principal_change: AllowPrincipalChange | UnsetType = UNSET
    change_mailbox: ChangeMailbox | UnsetType = UNSET
    hand_out: HandOutWhenBound | UnsetType = UNSET
    mailboxes: (
        Annotated[
            list[InvitedMailbox],
            Meta(
                description="Several shared mailboxes, instead of `account`, `name` and `email`.",
                min_length=1,
                max_length=MAX_MAILBOXES,
                extra={"items": "mailboxes"},
            ),
        ]
        | UnsetType
    ) = UNSET
    sync_from: IgnoredText | UnsetType = UNSET
    notify_from: IgnoredText | UnsetType = UNSET
    subconnections: IgnoredTexts | UnsetType = UNSET
    path: IgnoredTexts | UnsetType = UNSET


class Reauthorization(Body, kw_only=True):
    """The URL to which the browser returns, and who may sign in."""

    redirect_url: RedirectUrl
    allow_principal_change: AllowPrincipalChange | UnsetType = UNSET


class Failure(Answer, kw_only=True):
    """The reason why a sign-in bound nothing."""

    code: Code
    description: Sentence
    action: RemedyText


class MailboxOutcome(Answer, kw_only=True):
    """The result for one mailbox of a registration."""

    account: AccountId | None
    email: Email | None
    state: MailboxState
    code: Code | UnsetType = UNSET
    description: Sentence | UnsetType = UNSET
    action: RemedyText | UnsetType = UNSET


class Registration(Answer, kw_only=True):
    """A registration and its status."""

    registration: RegistrationId
    status: RegistrationStatus
    delegated: ForSharedMailboxes
    type: AppId | None
    created: Annotated[Timestamp, Meta(description="When the link was made.")]
    expires: Annotated[Timestamp, Meta(description="When the link stops working.")]
    completed: Annotated[Timestamp, Meta(description="When its mailboxes were bound.")] | None
    mailboxes: Annotated[list[MailboxOutcome], Meta(description="The result for each mailbox.")]
    account: AccountId | UnsetType | None = UNSET
    email: Email | UnsetType | None = UNSET
    state: MailboxState | UnsetType = UNSET
    failure: Failure | UnsetType = UNSET


class EndedRegistration(Answer, kw_only=True):
    """An ended registration. One that has already bound its mailbox stays completed."""

    registration: RegistrationId
    deleted: Annotated[bool, Meta(description="Whether its link was ended.", examples=[True])]
    status: RegistrationStatus
