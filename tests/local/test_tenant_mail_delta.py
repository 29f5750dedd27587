"""Delta queries of messages and folders.

https://learn.microsoft.com/graph/delta-query-messages
"""

from typing import Any

import pytest

from tests.local.mail_visitor import MailVisitor, subjects

DELTA = "/mailFolders/inbox/messages/delta"


def follow(visitor: MailVisitor, link: str, **headers: str) -> tuple[list[dict[str, Any]], str]:
    """All items of a round, and its delta link."""
    items: list[dict[str, Any]] = []
    while True:
        page = visitor.get(link, **headers)
        items += page["value"]
        if "@odata.deltaLink" in page:
            return items, page["@odata.deltaLink"]
        link = page["@odata.nextLink"]


@pytest.mark.parametrize(
    "path", [DELTA, "/mailFolders('inbox')/messages/delta()", "/mailFolders/inbox/messages/microsoft.graph.delta()"]
)
def test_first_round_lists_the_folder_in_pages(support: MailVisitor, path: str) -> None:
    first = support.get(f"{path}?$select=subject", prefer="odata.maxpagesize=4")
    items, link = follow(support, f"{path}?$select=subject", prefer="odata.maxpagesize=4")

    assert (4, True) == (len(first["value"]), "$skiptoken=" in first["@odata.nextLink"])
    assert subjects(support.items("/mailFolders/inbox/messages")) == subjects(items)
    assert {"@odata.etag", "id", "subject"} == set(items[0])
    assert "/mailFolders('AAMk" in link
    assert "messages/delta?$deltatoken=" in link


def test_later_rounds_have_what_changed(support: MailVisitor) -> None:
    items, link = follow(support, f"{DELTA}?$select=subject,isRead")
    changed, moved, deleted = (item["id"] for item in items[:3])
    (arrived,) = support.deliver(subject="New")
    support.send("PATCH", f"/messages/{changed}", isRead=True)
    support.send("POST", f"/messages/{moved}/move", destinationId="archive")
    support.call("DELETE", f"/messages/{deleted}")

    changes, link = follow(support, link)

    found = {item["id"]: item for item in changes}
    assert {arrived, changed, moved, deleted} == set(found)
    assert ("New", True) == (found[arrived]["subject"], found[changed]["isRead"])
    assert {"reason": "deleted"} == found[moved]["@removed"] == found[deleted]["@removed"]
    assert ([], True) == (follow(support, link)[0], "@removed" not in found[changed])


def test_change_during_a_round_is_in_the_next_one(support: MailVisitor) -> None:
    first = support.get(DELTA, prefer="odata.maxpagesize=3")
    gone = first["value"][0]["id"]
    support.call("DELETE", f"/messages/{gone}")
    (arrived,) = support.deliver(subject="New")

    rest, link = follow(support, first["@odata.nextLink"], prefer="odata.maxpagesize=3")

    assert 7 == len(rest)
    assert [gone, arrived] == [item["id"] for item in follow(support, link)[0]]


def test_changes_come_in_pages(sales: MailVisitor) -> None:
    _, link = follow(sales, DELTA)
    ids = sales.deliver(count=5, subject="New")

    page = sales.get(link, prefer="odata.maxpagesize=2")

    assert 2 == len(page["value"])
    assert ids == [item["id"] for item in follow(sales, link, prefer="odata.maxpagesize=2")[0]]


def test_immutable_ids_in_delta(sales: MailVisitor) -> None:
    _, link = follow(sales, DELTA)
    (old,) = sales.deliver(subject="New")
    immutable = 'IdType="ImmutableId"'
    (arrived,), link = follow(sales, link, prefer=immutable)
    sales.send("POST", f"/messages/{old}/move", destinationId="archive")

    (removed,), _ = follow(sales, link, prefer=immutable)

    assert old != arrived["id"] == removed["id"]


@pytest.mark.parametrize(
    ("change_type", "expected"), [("created", ["arrived"]), ("updated", ["changed"]), ("deleted", ["gone"])]
)
def test_changes_can_be_of_one_type(sales: MailVisitor, change_type: str, expected: list[str]) -> None:
    (gone,), (changed,) = sales.deliver(subject="a"), sales.deliver(subject="b")
    _, link = follow(sales, f"{DELTA}?changeType={change_type}")
    sales.call("DELETE", f"/messages/{gone}")
    sales.send("PATCH", f"/messages/{changed}", isRead=True)
    names = {gone: "gone", changed: "changed", sales.deliver(subject="c")[0]: "arrived"}

    assert expected == [names[item["id"]] for item in follow(sales, link)[0]]


def test_filter_stays_in_the_links(sales: MailVisitor) -> None:
    sales.deliver(subject="old", receivedDateTime="2026-01-01T00:00:00Z")
    sales.deliver(subject="new", receivedDateTime="2026-03-01T00:00:00Z")
    items, link = follow(sales, f"{DELTA}?$filter=receivedDateTime ge 2026-02-01T00:00:00Z")
    sales.deliver(subject="later but old", receivedDateTime="2026-01-15T00:00:00Z")
    sales.deliver(subject="later", receivedDateTime="2026-03-15T00:00:00Z")

    assert (["new"], ["later"]) == (subjects(items), subjects(follow(sales, link)[0]))


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("$filter=isRead eq false", "ErrorInvalidUrlQuery"),
        ("$filter=receivedDateTime lt 2026-01-01", "ErrorInvalidUrlQuery"),
        ("$orderby=subject", "ErrorInvalidUrlQuery"),
        ('$search="a"', "BadRequest"),
        ("$deltatoken=latest", "ErrorInvalidSyncStateData"),
        ("$skiptoken=AAAA", "ErrorInvalidSyncStateData"),
    ],
)
def test_delta_refuses_other_options(support: MailVisitor, options: str, code: str) -> None:
    assert (400, code) == support.refused(f"{DELTA}?{options}")


def test_token_is_of_one_mailbox_and_folder(support: MailVisitor, sales: MailVisitor) -> None:
    _, link = follow(support, DELTA)
    token = link.partition("?")[2]

    for visitor, folder in ((sales, "inbox"), (support, "archive")):
        path = f"/mailFolders/{folder}/messages/delta?{token}"
        assert (400, "ErrorInvalidSyncStateData") == visitor.refused(path)


def test_state_can_expire(support: MailVisitor) -> None:
    _, link = follow(support, DELTA)
    support.tenant.control("delta-state")

    assert (410, "syncStateNotFound") == support.refused(link)
    assert 10 == len(follow(support, DELTA)[0])


def test_folders_have_a_delta_too(sales: MailVisitor) -> None:
    items, link = follow(sales, "/mailFolders/delta")
    created = sales.send("POST", "/mailFolders", displayName="Work")

    changes, link = follow(sales, link)
    for _ in range(2):
        sales.call("DELETE", f"/mailFolders/{created['id']}")
    removed, _ = follow(sales, link)

    assert (7, ["Work"]) == (len(items), [item["displayName"] for item in changes])
    assert [(created["id"], {"reason": "deleted"})] == [(item["id"], item["@removed"]) for item in removed]
