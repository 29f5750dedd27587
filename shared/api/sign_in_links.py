"""The answer with a sign-in link, which says what the link binds."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from shared.api.field_types import RegistrationId, SignInUrl, Timestamp
from shared.http.responses import Answer, moment
from shared.usecases.sign_in.start import Started


def own_mailbox_hint(email: str, instead: str) -> str:
    """What a link binds whose request named a mailbox, but not as a shared one, and what to do `instead`."""
    return (
        f"The link binds the own mailbox of the person who signs in, and only if its address is {email}."
        f" For a shared mailbox, {instead}."
    )


ForSharedMailboxes = Annotated[
    bool,
    Meta(
        description="Whether it is for shared mailboxes, or else for the own mailbox of the person who signs in.",
        examples=[True],
    ),
]
Hint = Annotated[
    str,
    Meta(
        description="What the link binds, if the request named a mailbox, but not as a shared one.",
        examples=[own_mailbox_hint("support@contoso.example", 'send "delegated": true')],
    ),
]


class Link(Answer, kw_only=True):
    """A sign-in link. It is shown only once."""

    url: SignInUrl
    registration: RegistrationId
    expires: Annotated[Timestamp, Meta(description="When the link stops working.")]
    delegated: ForSharedMailboxes
    hint: Hint | UnsetType = UNSET


def link(started: Started) -> Link:
    """The link that a caller passes on; it is shown only once."""
    return Link(
        url=started.url,
        registration=started.registration,
        expires=moment(started.expires),
        delegated=started.delegated,
    )
