"""Collections, a page at a time.

https://learn.microsoft.com/graph/paging
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any
from zlib import crc32

from infra.local.tenant.failures import Refusal
from infra.local.tenant.graph_request import Answer
from infra.local.tenant.mail.call import MailCall
from infra.local.tenant.mail.entities import Message
from infra.local.tenant.mail.filters import MESSAGE_PROPERTIES, Filter, read_order, sort_key
from infra.local.tenant.mail.query import DEFAULT_TOP, Options
from infra.local.tenant.mail.rendering import property_of
from infra.local.tenant.mail.search import MAX_HITS, read_search


def page[T](
    call: MailCall, path: str, context: str, entities: Sequence[T], show: Callable[[T], dict[str, Any]]
) -> Answer:
    """One page of a collection of the mailbox, which is at `path` below the user."""
    options = call.options
    start = _start(options)
    end = start + (options.top or DEFAULT_TOP)
    body: dict[str, Any] = {"@odata.context": call.context(context)}
    if options.count:
        body["@odata.count"] = len(entities)
    body["value"] = [show(entity) for entity in entities[start:end]]
    if end < len(entities):
        # A search has no $skip. https://learn.microsoft.com/graph/search-query-parameter
        option = "skiptoken" if options.search is not None else "skip"
        body["@odata.nextLink"] = options.link(f"{call.address}/{path}", **{option: str(end)})
    return Answer(body, headers=applied_preferences(call))


def applied_preferences(call: MailCall) -> dict[str, str]:
    """The Preference-Applied header (RFC 7240)."""
    applied = ['outlook.body-content-type="text"'] if call.wants_text else []
    applied += ['IdType="ImmutableId"'] if call.wants_immutable_ids else []
    return {"Preference-Applied": ", ".join(applied)} if applied else {}


def found_messages(call: MailCall, messages: Iterable[Message]) -> list[Message]:
    """The messages that the query asks for, in its order: newest first by default."""
    options = call.options
    newest_first = sorted(messages, key=lambda message: str(message.properties["receivedDateTime"]))[::-1]
    if options.search is not None:
        _check_search(options)
        test = read_search(options.search)
        return [message for message in newest_first if test(message)][:MAX_HITS]
    chosen = Filter(options.filter, MESSAGE_PROPERTIES) if options.filter else None
    order = read_order(options.orderby, chosen.properties if chosen else None, MESSAGE_PROPERTIES)
    found = [one for one in newest_first if chosen is None or chosen.matches(partial(property_of, call, one))]
    if order:
        # No page says how equal ones are sorted. Here it depends on the filter, so that no client can rely on it.
        found.sort(key=lambda one: crc32(f"{options.filter} {one.immutable_id}".encode()))
    for path, is_descending in reversed(order):
        found = _ordered(call, found, path, descending=is_descending)
    return found


def _ordered(call: MailCall, messages: list[Message], path: str, *, descending: bool) -> list[Message]:
    return sorted(messages, key=lambda message: sort_key(property_of(call, message, path)), reverse=descending)


def _start(options: Options) -> int:
    token = options.skip_token
    if token is None:
        return options.skip
    if options.search is None or not token.isdecimal():
        raise Refusal("BadRequest", reason="The skip token is not valid.")
    return int(token)


def _check_search(options: Options) -> None:
    """https://learn.microsoft.com/graph/search-query-parameter; the errors are those of public reports."""
    used = {"orderBy": options.orderby, "filter": options.filter, "skip": options.skip, "count": options.count}
    if excluded := next((name for name, value in used.items() if value), None):
        raise Refusal(f"SearchWith{excluded[0].upper()}{excluded[1:]}")
