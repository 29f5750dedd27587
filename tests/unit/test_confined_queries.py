"""Query options and headers of confined access, by closed lists."""

import pytest

from shared.domain.confined.headers import headers_for_caller, headers_for_graph
from shared.domain.confined.operations import OPERATIONS, MailOperation
from shared.domain.confined.queries import checked_options, encoded_query
from shared.domain.confined.refused import BadMailRequest, NotConfined


def row(name: str) -> MailOperation:
    return next(operation for operation in OPERATIONS if operation.name == name)


@pytest.mark.parametrize(
    ("name", "query", "encoded"),
    [
        ("messages.list", {"$top": "5", "$select": "id,subject"}, "$top=5&$select=id,subject"),
        ("messages.list", {"top": "5"}, "$top=5"),
        ("messages.list", {"$SEARCH": '"from:ann & co"'}, "$search=%22from:ann%20%26%20co%22"),
        ("messages.list", {"$filter": "subject eq 'a+b#c'"}, "$filter=subject%20eq%20'a%2Bb%23c'"),
        ("messages.list", {"$filter": "contains(subject,'/event')"}, "$filter=contains(subject,'/event')"),
        ("messages.list", {"$expand": "attachments($select=id,name;$top=2)"}, None),
        ("message.get", {"$expand": "singleValueExtendedProperties($filter=id eq 'String {a;b} Name c')"}, None),
        ("folders.list", {"includeHiddenFolders": "true"}, "includeHiddenFolders=true"),
        ("attachment.get", {"$expand": "microsoft.graph.itemattachment/item"}, None),
    ],
)
def test_an_option_of_the_row_passes_encoded(name: str, query: dict[str, str], encoded: str | None) -> None:
    built = encoded_query(checked_options(row(name), query))
    assert encoded in {built, None}
    assert not set(" +#&").intersection(built.replace("&$", ""))


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("messages.list", {"$format": "xml"}),
        ("messages.list", {"": "x"}),
        ("messages.list", {"$skiptoken ": "x"}),
        ("messages.list", {"$deltatoken": "x"}),
        ("messages.list", {"$$top": "5"}),
        ("messages.list", {"@p1": "x"}),
        ("message.content", {"$select": "id"}),
        ("mail.send", {"$select": "id"}),
        ("messages.list", {"$expand": "extensions"}),
        ("messages.list", {"$expand": "attachments,microsoft.graph.eventMessage/event"}),
        ("messages.list", {"$expand": "attachments($expand=item)"}),
        ("messages.list", {"$expand": "attachments($levels=max)"}),
        ("messages.list", {"$expand": "attachments)("}),
        ("messages.list", {"$filter": "microsoft.graph.eventMessage/event/subject eq 'x'"}),
        ("messages.list", {"$filter": "id in $root/users('x')/messages"}),
        ("messages.list", {"$select": "microsoft.graph.eventMessage/event"}),
        ("messages.list", {"$search": "a\r\nHost: evil.example"}),
    ],
)
def test_any_other_option_is_refused(name: str, query: dict[str, str]) -> None:
    with pytest.raises(NotConfined):
        checked_options(row(name), query)


def test_an_option_with_and_without_its_dollar_is_refused() -> None:
    with pytest.raises(BadMailRequest, match=r"\$top"):
        checked_options(row("messages.list"), {"$top": "1", "top": "2"})


def test_a_string_of_json_does_not_hide_a_way_out() -> None:
    with pytest.raises(BadMailRequest, match="single quotes"):
        checked_options(row("messages.list"), {"$filter": """subject in ["'", $root/users, "'"]"""})


def test_headers_pass_by_closed_lists_in_both_directions() -> None:
    given = {
        "authorization": "Bearer caller",
        "cookie": "a=b",
        "host": "evil.example",
        "x-anchormailbox": "board@contoso.example",
        "x-http-method-override": "DELETE",
        "x-ms-client-principal": "x",
        "accept": "text/html",
        "prefer": 'IdType="ImmutableId", outlook.body-content-type="text", respond-async, x="\\"',
        "consistencylevel": "eventual",
        "if-match": 'W/"abc="',
    }
    assert headers_for_graph(given, "application/json") == {
        "Accept": "application/json",
        "Prefer": 'IdType="ImmutableId", outlook.body-content-type="text"',
        "ConsistencyLevel": "eventual",
        "If-Match": 'W/"abc="',
        "Content-Type": "application/json",
    }
    received = {"set-cookie": "a=b", "location": "https://graph.microsoft.com/", "retry-after": "3", "etag": 'W/"a"'}
    assert headers_for_caller(received) == {"retry-after": "3", "etag": 'W/"a"'}
