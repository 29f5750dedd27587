"""Delta queries: what has changed in a folder since a round before.

https://learn.microsoft.com/graph/delta-query-messages
https://learn.microsoft.com/graph/api/message-delta
https://learn.microsoft.com/graph/api/mailfolder-delta

A token says where its reader is, so the tenant remembers nothing of its readers. First a round lists the content,
newest first; then it follows the log of changes.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from infra.local.tenant.failures import Refusal
from infra.local.tenant.graph_request import Answer
from infra.local.tenant.mail.call import MailCall
from infra.local.tenant.mail.entities import Change, ChangeKind, Message, Properties
from infra.local.tenant.mail.filters import comparable, read_time
from infra.local.tenant.mail.lists import applied_preferences
from infra.local.tenant.mail.query import DEFAULT_TOP, MAX_TOP, Options, read_options
from infra.local.tenant.mail.rendering import folder_json, message_json
from infra.local.tenant.mail.store import FOLDERS_LOG, ROOT

# "The only supported $filter expressions are $filter=receivedDateTime+ge+{value} or receivedDateTime+gt+{value}", and
# "The only supported $orderby expression is $orderby=receivedDateTime+desc".
# https://learn.microsoft.com/graph/api/message-delta#odata-query-parameters
FILTER = re.compile(r"receivedDateTime\s+(ge|gt)\s+(\S+)")
ORDER = re.compile(r"receivedDateTime\s+desc", re.IGNORECASE)
LATEST_KEY = "~"  # sorts after every time and id

Key = tuple[str, str]
Listed = tuple[Key, Callable[[], Properties]]


class DeltaState(msgspec.Struct, frozen=True, array_like=True):
    """Where a reader is. `generation` is that of the tenant's delta state, and `log` the folder, or FOLDERS_LOG.

    `listed_to` is the key of the last item of the list that was returned, and None after the list. `number` is that of
    the last change that the reader knows.
    """

    generation: str
    mailbox: str
    log: str
    number: int
    options: list[tuple[str, str]]
    listed_to: Key | None

    @property
    def token(self) -> str:
        """The state as a token."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a delta query reads. `listed` is the content, each item with its key and how to show it.

    `show` is the item of a change, and None if the filter does not let it pass.
    """

    log: str
    path: str
    type: str
    listed: Callable[[Options], Iterable[Listed]]
    show: Callable[[Change, Options], Properties | None]


def message_delta(call: MailCall) -> Answer:
    """The changes of the messages in a folder."""
    stored, folder = call.stored, call.folder

    def listed(options: Options) -> Iterable[Listed]:
        found = [message for message in stored.messages_in(folder) if _passes(options, message)]
        return [
            ((one.properties["receivedDateTime"], one.immutable_id), partial(message_json, call, one, options))
            for one in found
        ]

    def show(change: Change, options: Options) -> Properties | None:
        if change.kind == "deleted":
            return {"id": change.immutable_id if call.wants_immutable_ids else change.item_id}
        message = stored.messages[change.immutable_id]
        return message_json(call, message, options) if _passes(options, message) else None

    path = f"mailFolders('{folder.id}')/messages/delta"
    return _answer(call, Source(log=folder.id, path=path, type="message", listed=listed, show=show))


def folder_delta(call: MailCall) -> Answer:
    """The changes of the mailbox's folders."""
    stored = call.stored

    def listed(options: Options) -> Iterable[Listed]:
        folders = [folder for folder in stored.folders.values() if folder.well_known_name != ROOT]
        return [((folder.id, ""), partial(folder_json, stored, folder, options.select)) for folder in folders]

    def show(change: Change, options: Options) -> Properties | None:
        if change.kind == "deleted":
            return {"id": change.item_id}
        return folder_json(stored, stored.folders[change.item_id], options.select)

    source = Source(log=FOLDERS_LOG, path="mailFolders/delta", type="mailFolder", listed=listed, show=show)
    return _answer(call, source)


def _answer(call: MailCall, source: Source) -> Answer:
    state = _state(call, source)
    options = read_options(list(state.options))
    size = _page_size(call, options)
    if state.listed_to is not None:
        value, following, is_last = _list_page(source, state, options, size)
    else:
        value, following, is_last = _change_page(call, source, state, options, size)
    name, option = ("@odata.deltaLink", "$deltatoken") if is_last else ("@odata.nextLink", "$skiptoken")
    body: dict[str, Any] = {
        "@odata.context": f"{call.tenant.origin}/v1.0/$metadata#Collection({source.type})",
        "value": value,
        name: f"{call.address}/{source.path}?{option}={following.token}",
    }
    return Answer(body, headers=applied_preferences(call))


def _list_page(
    source: Source, state: DeltaState, options: Options, size: int
) -> tuple[Sequence[Properties], DeltaState, bool]:
    if options.change_type not in {None, "created"}:
        return [], msgspec.structs.replace(state, listed_to=None), True
    newest_first = sorted(source.listed(options), key=lambda listed: listed[0], reverse=True)
    waiting = [listed for listed in newest_first if listed[0] < (state.listed_to or listed[0])]
    is_last = len(waiting) <= size
    listed_to = None if is_last else waiting[size - 1][0]
    return [show() for _, show in waiting[:size]], msgspec.structs.replace(state, listed_to=listed_to), is_last


def _change_page(
    call: MailCall, source: Source, state: DeltaState, options: Options, size: int
) -> tuple[Sequence[Properties], DeltaState, bool]:
    changes = _last_changes(call.stored.changes_after(state.number, source.log))
    wanted = [change for change in changes if options.change_type in {None, change.kind}]
    is_last = len(wanted) <= size
    number = call.stored.last_change if is_last else wanted[size - 1].number
    shown = ((change, source.show(change, options)) for change in wanted[:size])
    value = [
        {"@odata.type": f"#microsoft.graph.{source.type}", "@removed": {"reason": "deleted"}, **item}
        if change.kind == "deleted"
        else item
        for change, item in shown
        if item is not None
    ]
    return value, msgspec.structs.replace(state, number=number), is_last


def _last_changes(changes: Iterable[Change]) -> list[Change]:
    """The last change of each item, as one of its creation if it was created meanwhile."""
    last: dict[str, Change] = {}
    for change in changes:
        known = last.pop(change.immutable_id, None)
        kind: ChangeKind = "created" if known and known.kind == "created" != change.kind != "deleted" else change.kind
        last[change.immutable_id] = Change(change.number, kind, change.item_id, change.immutable_id)
    return list(last.values())


def _state(call: MailCall, source: Source) -> DeltaState:
    """The state that the request continues, or a new one.

    "the service responds with a 410 Gone error with error codes such as syncStateNotFound", and the client begins
    again. https://learn.microsoft.com/graph/delta-query-overview#synchronization-reset
    """
    generation, options = call.tenant.mail.delta_generation, call.options
    if token := options.delta_token or options.skip_token:
        state = _read_token(token)
        if (state.mailbox, state.log) != (call.owner.oid, source.log):
            raise Refusal("ErrorInvalidSyncStateData")
        if state.generation != generation:
            raise Refusal("syncStateNotFound")
        return state
    _check_options(options)
    kept = list(options.pairs)
    return DeltaState(generation, call.owner.oid, source.log, call.stored.last_change, kept, (LATEST_KEY, ""))


def _read_token(token: str) -> DeltaState:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(token), type=DeltaState)
    except (binascii.Error, ValueError) as error:
        raise Refusal("ErrorInvalidSyncStateData") from error


def _check_options(options: Options) -> None:
    if options.filter is not None and not FILTER.fullmatch(options.filter.strip()):
        raise Refusal("ErrorInvalidUrlQuery", option="$filter", supported="receivedDateTime ge value")
    if options.orderby is not None and not ORDER.fullmatch(options.orderby.strip()):
        raise Refusal("ErrorInvalidUrlQuery", option="$orderby", supported="receivedDateTime desc")
    if options.search is not None:
        raise Refusal("BadRequest", reason="The query parameter '$search' is not supported with delta queries.")


def _passes(options: Options, message: Message) -> bool:
    """Whether the filter lets the message pass."""
    found = FILTER.fullmatch((options.filter or "").strip())
    if found is None:
        return True
    received, bound = comparable(message.properties["receivedDateTime"]), read_time(found[2])
    return bool(received > bound if found[1] == "gt" else received >= bound)


def _page_size(call: MailCall, options: Options) -> int:
    """`odata.maxpagesize` counts before $top.

    https://learn.microsoft.com/graph/api/message-delta#request-headers
    """
    preferred = call.preferences.get("odata.maxpagesize", "")
    if preferred.isdecimal() and 1 <= int(preferred) <= MAX_TOP:
        return int(preferred)
    return options.top or DEFAULT_TOP
