"""Types of fields that several resources have in common. Each describes itself and is its own decoder."""

import math
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, UnsetType

from shared.domain.account import is_guid
from shared.domain.formats import MAX_ACCOUNT_ID_BYTES, MAX_LABEL_CHARACTERS, has_domain_labels
from shared.domain.secret import Secret
from shared.http.decoding import Body

EXAMPLE_TIMESTAMP = "2027-01-31T09:30:00.000Z"
GUID = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
PLAIN = r"^[^\x00-\x1f\x7f-\x9f]*$"  # no control characters
# No control characters, and something else than blanks.
NOT_BLANK = r"^[^\x00-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\xa0][^\x00-\x1f\x7f-\x9f]*$"
MAX_ADDRESS_BYTES = 320  # 64, the @ and 255 (RFC 5321 section 4.5.3.1)
# Addresses become segments of Graph's URLs, and no mailbox has these in its address.
NOT_IN_ADDRESSES = frozenset("/\\?#%")
NO_ROUTE_NAMES_IT = "not contain slashes, nor be . or ..: a route could not name it"


def page_count(total: int, page_size: int) -> int:
    """How many pages a list has."""
    return math.ceil(total / page_size)


def described(kind: str, about: str, example: str, max_length: int | None = None) -> Meta:
    """A text of some format."""
    return Meta(description=about, examples=[example], extra_json_schema={"format": kind}, max_length=max_length)


def one_of(words: Collection[str], **more: Any) -> Meta:  # noqa: ANN401 - of Meta
    """A text that is one of these words."""
    must = f"must be one of [{', '.join(words)}]"
    rules = {"check": lambda text: None if text in words else must}
    return Meta(extra_json_schema={"enum": [*words]}, extra=rules, **more)


def address_fault(text: str) -> str | None:
    """What is wrong with a mailbox address. Exchange decides what it accepts; this keeps out what cannot be one."""
    local, at, domain = text.rpartition("@")
    if not at or not local or not domain or "@" in local or not text.isprintable() or " " in text:
        return "must be a valid email"
    if not has_domain_labels(domain):
        return f"must be a valid email, with 1 to {MAX_LABEL_CHARACTERS} characters between dots of its domain"
    if NOT_IN_ADDRESSES & set(text):
        return "must be a valid email, without / \\ ? # and %"
    return None


def account_id_fault(text: str) -> str | None:
    """What is wrong with an account's id beside its letters."""
    return f"must {NO_ROUTE_NAMES_IT}" if text in {".", ".."} else None


AccountId = Annotated[
    str,
    Meta(
        description="The id of an account, chosen by the caller or by Mailbind; at most 512 bytes in UTF-8."
        " Case makes no difference.",
        examples=["shared"],
        max_length=256,
        pattern=r"^[^\x00-\x1f\x7f-\x9f/\\]*$",
        extra={"max_bytes": MAX_ACCOUNT_ID_BYTES, "must": NO_ROUTE_NAMES_IT, "check": account_id_fault},
    ),
]
Text = Annotated[str, Meta(description="Free text.", max_length=256, pattern=PLAIN)]
Name = Annotated[str, Meta(description="Its display name.", examples=["Shared Account"], max_length=256, pattern=PLAIN)]
Email = Annotated[
    str,
    Meta(
        description="A mailbox address. In requests it must not contain / \\ ? # or %.",
        examples=["support@contoso.example"],
        extra_json_schema={"format": "email"},
        max_length=320,
        extra={"max_bytes": MAX_ADDRESS_BYTES, "check": address_fault},
    ),
]
SignInName = Annotated[
    str, Meta(description="The sign-in name of the person who authorizes it.", examples=["alice@contoso.example"])
]
RedirectUrl = Annotated[
    str,
    described(
        "uri",
        "The URL to which the browser returns. Mailbind has to allow its origin. Its query and fragment are kept.",
        "https://myapp.example/account/settings.php",
        max_length=4096,
    ),
]
# In answers a text, because they have milliseconds always; in requests what it says.
Timestamp = Annotated[str, described("date-time", "A timestamp in UTC.", EXAMPLE_TIMESTAMP)]
RequestTimestamp = Annotated[
    datetime,
    Meta(description="A timestamp in UTC.", examples=[EXAMPLE_TIMESTAMP], extra_json_schema={"format": "date-time"}),
]
AppId = Annotated[
    str, Meta(description="The id of an OAuth app.", examples=["AAABiCtT7XUAAAAF"], max_length=256, pattern=NOT_BLANK)
]
RegistrationId = Annotated[
    str,
    Meta(
        description="The id of a registration.",
        examples=["5f1a0c3e9b7d42868d0c1e5f7392b8a64c20d9e7153fb68a9e41c07d2b5f836a"],
    ),
]
Code = Annotated[str, Meta(description="A stable code for programs.", examples=["needs_sign_in"])]
Sentence = Annotated[
    str,
    Meta(
        description="What happened, in a sentence for people.",
        examples=["Microsoft no longer accepts the earlier sign-in."],
    ),
]
RemedyText = Annotated[
    str,
    Meta(description="What to do about it, in a sentence for people.", examples=["Sign in again through a new link."]),
]
AadstsNumber = Annotated[int, Meta(description="Microsoft's error number.", examples=[7000222])]
Guid = Annotated[
    str,
    Meta(
        description="A GUID.",
        examples=["5f0c1d9e-0000-4000-8000-0000000000c1"],
        pattern=GUID,
        extra={"must": "be a GUID", "lower": True},
    ),
]
ExpectedTenant = Annotated[
    str,
    Meta(
        description="The id of the tenant that the person has to belong to.",
        examples=["7c3f1e52-5d1b-4a57-9a0e-2f6c7f1d9b10"],
        extra_json_schema={"format": "uuid"},
        extra={"check": lambda text: None if is_guid(text) else "must be a tenant id"},
    ),
]
Count = Annotated[int, Meta(description="A number of things.", examples=[3], ge=0)]
Pages = Annotated[Count, Meta(description="The number of pages.")]
Page = Annotated[int, Meta(description="Which page, counted from 0.", examples=[0], ge=0, le=1_048_576)]
PageSize = Annotated[int, Meta(description="The size of a page; 20 by default.", examples=[20], ge=1, le=1000)]
DEFAULT_PAGE_SIZE = 20
Total = Annotated[int, Meta(description="The number on all pages.", examples=[1], ge=0)]
Deleted = Annotated[bool, Meta(description="Always true.", examples=[True])]
WasThere = Annotated[bool, Meta(description="Whether it was there to delete.", examples=[True])]
Done = Annotated[bool, Meta(description="Always true.", examples=[True])]
Hidden = Annotated[str, Meta(description="Stars: the value exists, and is never shown.", examples=["******"])]
Outlook = Annotated[Literal["outlook"], Meta(description="Always outlook.", examples=["outlook"])]
Id = Annotated[str, Meta(description="Its id.", examples=["0f4cbb21"])]
SecretText = Annotated[Secret, Meta(extra_json_schema={"type": "string"})]
SignInUrl = Annotated[
    SecretText, described("uri", "The sign-in link.", "https://mailbind.example/accounts/new?ticket=kJ3n")
]


IGNORED_RULES = {"any_text": True, "absent": (None,)}
IGNORED = "Accepted for callers of EmailEngine; has no effect."
IgnoredText = Annotated[str, Meta(description=IGNORED, extra=IGNORED_RULES)]
IgnoredBoolean = Annotated[bool, Meta(description=IGNORED, extra=IGNORED_RULES)]
IgnoredTexts = Annotated[
    list[Annotated[str, Meta(extra=IGNORED_RULES)]], Meta(description=IGNORED, extra=IGNORED_RULES)
]


class EmailEngineFields(Body, kw_only=True):
    """Fields of EmailEngine about fetching and sending mail."""

    refused: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("imap", "smtp"), "must be absent: the account signs in through Microsoft"),
        **dict.fromkeys(
            ("webhooks", "webhooksCustomHeaders"), 'must be absent: use POST /v1/webhooks with its "account"'
        ),
    }

    sync_from: IgnoredText | UnsetType = UNSET
    notify_from: IgnoredText | UnsetType = UNSET
    smtp_ehlo_name: IgnoredText | UnsetType = UNSET
    imap_indexer: IgnoredText | UnsetType = UNSET
    locale: IgnoredText | UnsetType = UNSET
    tz: IgnoredText | UnsetType = UNSET
    proxy: IgnoredText | UnsetType = UNSET
    copy: IgnoredBoolean | UnsetType = UNSET
    logs: IgnoredBoolean | UnsetType = UNSET
    path: IgnoredTexts | UnsetType = UNSET
    subconnections: IgnoredTexts | UnsetType = UNSET


class PageQuery(Body, kw_only=True):
    """Which page to return."""

    page: Page | UnsetType = UNSET
    page_size: PageSize | UnsetType = UNSET

    @property
    def number(self) -> int:
        """Counted from 0."""
        return self.page or 0

    @property
    def size(self) -> int:
        """How many to a page."""
        return self.page_size or DEFAULT_PAGE_SIZE
