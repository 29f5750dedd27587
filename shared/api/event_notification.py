"""What webhooks are sent."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from shared.api.field_types import AccountId, AppId, Code, Remedy, Sentence, Timestamp
from shared.domain.event import EventName
from shared.http.responses import Answer


class PreviousBinding(Answer, kw_only=True):
    """Who authorized an account until now, and which mailbox it opened."""

    user: Annotated[str, Meta(description="Who authorized it.", examples=["alice@contoso.example"])]
    email: Annotated[str, Meta(description="The mailbox address.", examples=["support@contoso.example"])]


class EventData(Answer, kw_only=True):
    """What an event says; which fields there are depends on the event."""

    account: AccountId | UnsetType = UNSET
    accounts: Annotated[list[AccountId], Meta(description="Those of a link that it is about.")] | UnsetType = UNSET
    user: Annotated[str, Meta(description="Who authorizes it.", examples=["alice@contoso.example"])] | UnsetType = UNSET
    email: Annotated[str, Meta(description="The mailbox address.")] | UnsetType = UNSET
    previous: PreviousBinding | UnsetType = UNSET
    initialized: Annotated[bool, Meta(description="That it is bound.")] | UnsetType = UNSET
    response: Sentence | UnsetType = UNSET
    code: Code | UnsetType = UNSET
    action: Remedy | UnsetType = UNSET
    kind: Annotated[str, Meta(description="The kind of failure.")] | UnsetType = UNSET
    aadsts: Annotated[int, Meta(description="Microsoft's number of it.")] | UnsetType | None = UNSET
    server_response_code: Annotated[str, Meta(description="EmailEngine's word.")] | UnsetType = UNSET
    app: AppId | UnsetType = UNSET
    name: Annotated[str, Meta(description="The OAuth app's name.")] | UnsetType = UNSET
    registration: Annotated[str, Meta(description="The id of a registration.")] | UnsetType = UNSET
    since: Timestamp | UnsetType = UNSET
    expires: Timestamp | UnsetType = UNSET
    webhook: Annotated[str, Meta(description="The webhook that a ping is for.")] | UnsetType = UNSET


class EventNotification(Answer, kw_only=True):
    """What a webhook is sent when something happens."""

    service_url: Annotated[str, Meta(description="Which Mailbind tells it.", examples=["https://mailbind.example"])]
    account: AccountId | None
    date: Timestamp
    event: Annotated[str, Meta(description="What happened.", extra_json_schema={"enum": [*EventName, "ping"]})]
    data: EventData
    id: Annotated[str, Meta(description="The event's id: repetitions carry the same.", examples=["01kc3"])]
    correlation: Annotated[
        str | None,
        Meta(description="Joins it with the request that it came of.", examples=["0af7651916cd43dd8448eb211c80319c"]),
    ]
