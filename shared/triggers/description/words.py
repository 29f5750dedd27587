"""Types that several shapes have in common; each describes itself."""

from typing import Annotated

from msgspec import Meta, Struct

MOMENT = "2027-01-31T09:30:00.000Z"
GUID = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
# No control characters, and something else than blanks.
WORD = r"^[^\x00-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\xa0][^\x00-\x1f\x7f-\x9f]*$"


class Body(Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What a caller sends: every other field is refused."""


class Answer(Struct, rename="camel", kw_only=True):
    """What a caller gets. Fields may be added; ignore those that you do not know."""


def formatted(kind: str, about: str, example: str, max_length: int | None = None) -> Meta:
    """A text of some format."""
    return Meta(description=about, examples=[example], extra_json_schema={"format": kind}, max_length=max_length)


AccountId = Annotated[
    str,
    Meta(
        description="The id of an account, chosen by the caller or drawn by Mailbind: at most 512 bytes in UTF-8."
        " Case makes no difference.",
        examples=["shared"],
        max_length=256,
        pattern=r"^[^\x00-\x1f\x7f-\x9f/\\]*$",
    ),
]
PLAIN = r"^[^\x00-\x1f\x7f-\x9f]*$"
Text = Annotated[str, Meta(description="Free text.", max_length=256, pattern=PLAIN)]
Name = Annotated[
    str, Meta(description="What people call it.", examples=["Shared Account"], max_length=256, pattern=PLAIN)
]
Email = Annotated[
    str,
    formatted(
        "email",
        "A mailbox address. In requests it must not contain / \\ ? # or %.",
        "support@contoso.example",
        max_length=320,
    ),
]
SignInName = Annotated[str, Meta(description="Who authorizes it: a sign-in name.", examples=["alice@contoso.example"])]
Back = Annotated[
    str,
    formatted(
        "uri",
        "Where the browser goes afterwards; of an origin that Mailbind allows. Its own query and fragment are kept.",
        "https://myapp.example/account/settings.php",
        max_length=4096,
    ),
]
Moment = Annotated[str, formatted("date-time", "A moment in UTC.", MOMENT)]
Url = Annotated[str, formatted("uri", "A URL.", "https://mailbind.example/accounts/new?ticket=kJ3n")]
AppId = Annotated[
    str, Meta(description="The id of an OAuth app.", examples=["AAABiCtT7XUAAAAF"], max_length=256, pattern=WORD)
]
RegistrationId = Annotated[str, Meta(description="The id of a registration.", examples=["5f1a0c"])]
Code = Annotated[
    str, Meta(description="A stable word for programs that says what is wrong.", examples=["needs_sign_in"])
]
Sentence = Annotated[
    str, Meta(description="What happened, for people.", examples=["Microsoft no longer accepts the earlier sign-in."])
]
Action = Annotated[
    str, Meta(description="What to do about it, for people.", examples=["Sign in again through a new link."])
]
Guid = Annotated[str, Meta(description="A GUID.", examples=["5f0c1d9e-0000-4000-8000-0000000000c1"], pattern=GUID)]
Count = Annotated[int, Meta(description="How many.", examples=[3], ge=0)]
Page = Annotated[int, Meta(description="Which page, counted from 0.", examples=[0], ge=0, le=1_048_576)]
PageSize = Annotated[int, Meta(description="How many on a page; 20 if you do not say.", examples=[20], ge=1, le=1000)]
Total = Annotated[int, Meta(description="How many there are on all pages.", examples=[1], ge=0)]
