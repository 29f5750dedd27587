"""GET /v1/account/{account}/messages, and its search: list and search messages."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType

from shared.api.field_types import PLAIN, AccountId, Page, PageQuery, Pages, Total, page_count
from shared.api.mail.message_fields import ListedMessage, listed_message
from shared.api.mail.resource import resource
from shared.api.mail.search_fields import SearchFields, search_of
from shared.domain.audit import Action
from shared.domain.caller import Scope
from shared.domain.mail.search import translated
from shared.http.bounds import SEARCH_BOUNDS
from shared.http.decoding import Body
from shared.http.responses import Answer
from shared.ports import App
from shared.usecases.mail import list_messages as listing
from shared.usecases.mail.folders import MAX_PATH_CHARACTERS
from shared.usecases.mail.list_messages import MessagePage, WantedPage
from shared.usecases.mail.session import Identify, MailSession

MAX_CURSOR_CHARACTERS = 4096

Cursor = Annotated[
    str,
    Meta(
        description="The nextPageCursor of the page before; empty for the first page. `page` has no effect beside it.",
        examples=[""],
        max_length=MAX_CURSOR_CHARACTERS,
        pattern=PLAIN,
    ),
]


class MessagesQuery(PageQuery, kw_only=True):
    """Which folder, and which page of it, to return."""

    path: Annotated[
        str,
        Meta(
            description="The path of a folder, or a special use such as \\Sent or \\All.",
            examples=["INBOX"],
            max_length=MAX_PATH_CHARACTERS,
            pattern=PLAIN,
        ),
    ]
    cursor: Cursor | UnsetType = UNSET


class SearchQuery(MessagesQuery, kw_only=True):
    """Which folder to search, and which page to return."""

    use_outlook_search: (
        Annotated[
            bool,
            Meta(description="Prefer Microsoft's search index, which finds words, to comparing.", examples=[False]),
        ]
        | UnsetType
    ) = UNSET


class MessageSearch(Body, kw_only=True):
    """What to look for."""

    example: ClassVar[Mapping[str, Any]] = {"search": {"unseen": True, "subject": "invoice"}}

    search: SearchFields


class MessageList(Answer, kw_only=True):
    """A page of messages, newest first."""

    total: (
        Annotated[Total, Meta(description="The number of messages when the first page was read; null if unknown.")]
        | None
    )
    page: Page
    pages: Annotated[Pages, Meta(description="The number of pages; null if unknown.")] | None
    next_page_cursor: (
        Annotated[str, Meta(description="Leads to the next page; null on the last one.", examples=["k1.AAAB.kJ3n"])]
        | None
    )
    prev_page_cursor: (
        Annotated[str, Meta(description="Always null: keep the cursors of the pages that you read.", examples=[""])]
        | None
    )
    messages: Annotated[list[ListedMessage], Meta(description="The messages.")]


ROUTE = "/v1/account/{account}"


@resource.get(f"{ROUTE}/messages", Action.USE_MAILBOX, Scope.MAIL_READ, refusals=[400, 404])
async def list_messages(app: App, identify: Identify, account_id: AccountId, query: MessagesQuery) -> MessageList:
    """List messages.

    Lists the messages of a folder, newest first. Follow `nextPageCursor` to read all of them: no message that stays in
    the folder is left out or repeated, whatever arrives or goes meanwhile. Pages by number shift when mail arrives.
    """
    session = MailSession(app, identify, account_id, Scope.MAIL_READ)
    return _shown(query, await listing.list_messages(session, _wanted(query)))


@resource.post(f"{ROUTE}/search", Action.USE_MAILBOX, Scope.MAIL_READ, bounds=SEARCH_BOUNDS, refusals=[400, 404])
async def search_messages(
    app: App, identify: Identify, account_id: AccountId, query: SearchQuery, body: MessageSearch
) -> MessageList:
    """Search messages.

    Finds the messages of a folder that match all fields. Microsoft Graph answers `to`, `cc`, `bcc`, `body`, `larger`
    and `smaller` from a search index, which gives at most 1,000 messages and does not say how many there are.
    """
    search = translated(search_of(body.search), prefer_search=query.use_outlook_search is True)
    session = MailSession(app, identify, account_id, Scope.MAIL_READ)
    return _shown(query, await listing.list_messages(session, _wanted(query), search))


def _wanted(query: MessagesQuery) -> WantedPage:
    return WantedPage(query.path, query.size, query.number, query.cursor or None)


def _shown(query: MessagesQuery, page: MessagePage) -> MessageList:
    return MessageList(
        total=page.total,
        page=page.page,
        pages=None if page.total is None else max(page_count(page.total, query.size), 1),
        next_page_cursor=page.next_cursor,
        prev_page_cursor=None,
        messages=[listed_message(each, page.paths.get(each.folder_id)) for each in page.messages],
    )
