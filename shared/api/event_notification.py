"""What webhooks are sent."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from shared.api.field_types import AccountId, AppId, Code, RemedyText, Sentence, Timestamp
from shared.domain.event import EventName
from shared.http.responses import Answer


class PreviousBinding(Answer, kw_only=True):
    """Who authorized the account before, and which mailbox it was."""

    user: Annotated[str, Meta(description="Who authorized it.", examples=["alice@contoso.example"])]
    email: Annotated[str, Meta(description="The mailbox address.", examples=["support@contoso.example"])]


class Envelope(Answer, kw_only=True):
    """Who a message is from and to."""

    from_: Annotated[str, Meta(description="The mailbox address.", examples=["support@contoso.example"])]
    to: Annotated[list[str], Meta(description="The recipients, also hidden ones.", examples=[["andris@example.com"]])]


class EventData(Answer, kw_only=True):
    """The details of an event. Its fields depend on the event."""

    account: AccountId | UnsetType = UNSET
    accounts: Annotated[list[AccountId], Meta(description="The accounts of the link.")] | UnsetType = UNSET
    user: Annotated[str, Meta(description="Who authorizes it.", examples=["alice@contoso.example"])] | UnsetType = UNSET
    email: Annotated[str, Meta(description="The mailbox address.")] | UnsetType = UNSET
    previous: PreviousBinding | UnsetType = UNSET
    initialized: Annotated[bool, Meta(description="Always true.")] | UnsetType = UNSET
    response: Sentence | UnsetType = UNSET
    code: Code | UnsetType = UNSET
    action: RemedyText | UnsetType = UNSET
    kind: Annotated[str, Meta(description="The kind of failure.")] | UnsetType = UNSET
    aadsts: Annotated[int, Meta(description="Microsoft's error number.")] | UnsetType | None = UNSET
    server_response_code: Annotated[str, Meta(description="EmailEngine's name for the failure.")] | UnsetType = UNSET
    app: AppId | UnsetType = UNSET
    name: Annotated[str, Meta(description="The OAuth app's name.")] | UnsetType = UNSET
    registration: Annotated[str, Meta(description="The id of a registration.")] | UnsetType = UNSET
    since: Annotated[Timestamp, Meta(description="When Microsoft refused the OAuth app first.")] | UnsetType = UNSET
    expires: Annotated[Timestamp, Meta(description="When the grant, secret or link expires.")] | UnsetType = UNSET
    webhook: Annotated[str, Meta(description="The webhook that was pinged.")] | UnsetType = UNSET
    message_id: Annotated[str, Meta(description="The Message-ID header.")] | UnsetType = UNSET
    original_message_id: Annotated[str, Meta(description="The Message-ID that the draft was given.")] | UnsetType = (
        UNSET
    )
    queue_id: Annotated[str, Meta(description="The id of the submission.")] | UnsetType = UNSET
    envelope: Envelope | UnsetType = UNSET


class EventNotification(Answer, kw_only=True):
    """The event that a webhook receives."""

    service_url: Annotated[
        str, Meta(description="The base URL of the Mailbind that sends it.", examples=["https://mailbind.example"])
    ]
    account: AccountId | None
    date: Annotated[Timestamp, Meta(description="When it happened.")]
    event: Annotated[str, Meta(description="The name of the event.", extra_json_schema={"enum": [*EventName, "ping"]})]
    data: EventData
    id: Annotated[
        str, Meta(description="The id of the event. A repeated delivery has the same id.", examples=["01kc3"])
    ]
    correlation: Annotated[
        str | None,
        Meta(
            description="The correlation id of the request that caused it.",
            examples=["0af7651916cd43dd8448eb211c80319c"],
        ),
    ]
