"""Searching by ids, and changing, moving and deleting messages over HTTP."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from infra.local.visitor import Visitor
from shared.api.mail.message_fields import MESSAGE_ID
from tests.journey.conftest import Tenant, bind

SUPPORT = "support@contoso.example"
NO_ID = "AAkALgAAAAAAHYQDEapmEc2byACqAC"
LABELS: dict[str, Any] = {"update": {"labels": {"set": []}}}


@pytest.fixture
def account(api: httpx.Client, visitor: Visitor, person: Callable[..., str]) -> str:
    return bind(api, visitor, person())


@pytest.fixture
def message(tenant: Tenant) -> str:
    return new_message(tenant)


def new_message(tenant: Tenant, **properties: Any) -> str:
    """The id of a message in the inbox."""
    delivered = tenant.do("deliver", mailbox=SUPPORT, message={"subject": "Change me", **properties})
    return str(delivered["immutableIds"][0])


def read(api: httpx.Client, account: str, message: str, select: str) -> Any:
    """Some property of the message at Graph."""
    answer = api.get(f"/v1.0/users/{account}/messages/{message}?$select={select}", headers=IMMUTABLE)
    return answer.json().get(select, answer.status_code)


IMMUTABLE = {"Prefer": 'IdType="ImmutableId"'}


def test_flags_and_labels_change(api: httpx.Client, account: str, message: str) -> None:
    path = f"/v1/account/{account}/message/{message}"

    answer = api.put(path, json={"flags": {"add": ["\\seen", "\\Flagged"]}, "labels": {"set": ["Red", "Blue"]}})
    assert {
        "flags": {"add": ["\\seen", "\\Flagged"], "result": ["\\Seen", "\\Flagged"]},
        "labels": {"set": ["Red", "Blue"], "result": ["Red", "Blue"]},
    } == answer.json()
    answer = api.put(path, json={"flags": {"delete": ["\\Flagged"]}, "labels": {"add": ["Green"], "delete": ["Red"]}})
    assert ["\\Seen"] == answer.json()["flags"]["result"]
    assert ["Blue", "Green"] == answer.json()["labels"]["result"]
    answer = api.put(path, json={"flags": {"set": ["\\Flagged"]}})
    assert {"flags": {"set": ["\\Flagged"], "result": ["\\Flagged"]}} == answer.json()
    assert read(api, account, message, "isRead") is False
    assert "flagged" == read(api, account, message, "flag")["flagStatus"]
    assert ["Blue", "Green"] == read(api, account, message, "categories")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"flags": '"labels" has to say'}),
        ({"flags": {}}, {"flags": '"labels" has to say'}),
        ({"flags": {"add": ["\\Answered"]}}, {"flags.add": "which messages were answered"}),
        ({"flags": {"set": ["\\Seen", "\\Deleted"]}}, {"flags.set": "use DELETE"}),
        ({"flags": {"delete": ["\\draft"]}}, {"flags.delete": "until it is sent"}),
        ({"flags": {"add": ["$Important"]}}, {"flags.add": "no such flag"}),
        ({"flags": {"set": [], "add": ["\\Seen"]}}, {"flags.set": "beside add or delete"}),
        ({"labels": {"set": ["Red"], "delete": ["Red"]}}, {"labels.set": "beside add or delete"}),
        ({"flags": {"add": ["\\Seen"], "delete": ["\\SEEN"]}}, {"flags.delete": "repeat what add has"}),
        ({"labels": {"add": ["x" * 256], "colour": "red"}}, {"labels.add": "list", "labels.colour": "not allowed"}),
    ],
)
def test_a_wrong_change_names_the_field(
    api: httpx.Client, account: str, message: str, body: Any, fields: dict[str, str]
) -> None:
    answer = api.put(f"/v1/account/{account}/message/{message}", json=body)

    assert 400 == answer.status_code
    named = {each["key"]: each["message"] for each in answer.json()["fields"]}
    assert fields.keys() == named.keys()
    assert all(part in named[name] for name, part in fields.items()), named
    assert read(api, account, message, "isRead") is False


def test_a_message_is_moved_and_keeps_its_id(api: httpx.Client, account: str, message: str) -> None:
    path = f"/v1/account/{account}/message/{message}/move"

    assert {"path": "Archive", "id": message} == api.put(path, json={"path": "\\Archive"}).json()
    assert {"path": "Sent Items", "id": message} == api.put(path, json={"path": "sent items"}).json()
    for wrong in ("\\All", ""):
        answer = api.put(path, json={"path": wrong})
        assert (400, ["path"]) == (answer.status_code, [each["key"] for each in answer.json()["fields"]])
    missing = api.put(path, json={"path": "No such folder"})
    assert (404, True) == (missing.status_code, "/mailboxes" in missing.json()["message"])


def test_deleting_goes_through_deleted_items(api: httpx.Client, account: str, message: str) -> None:
    path = f"/v1/account/{account}/message/{message}"

    moved = {"destination": "Deleted Items", "message": message}
    assert {"deleted": True, "moved": moved} == api.delete(path).json()
    assert "Change me" == read(api, account, message, "subject")
    assert {"deleted": True} == api.delete(path).json()
    assert 404 == read(api, account, message, "subject")
    assert 404 == api.delete(path).status_code


def test_force_deletes_for_good(api: httpx.Client, account: str, message: str) -> None:
    assert {"deleted": True} == api.delete(f"/v1/account/{account}/message/{message}?force=true").json()
    assert 404 == read(api, account, message, "subject")


@pytest.mark.parametrize("wrong", [NO_ID, "no*id", "inbox"])
def test_an_unknown_message_is_not_found(api: httpx.Client, account: str, wrong: str) -> None:
    path = f"/v1/account/{account}/message/{wrong}"
    answers = [
        api.put(path, json={"flags": {"add": ["\\Seen"]}}),
        api.put(path, json={"labels": {"add": ["Red"]}}),
        api.put(f"{path}/move", json={"path": "Archive"}),
        api.delete(path),
        api.delete(f"{path}?force=1"),
    ]
    assert [404] * 5 == [answer.status_code for answer in answers]


def test_changes_need_the_scope_to_write(api: httpx.Client, account: str, message: str) -> None:
    wish = {"description": "reader", "scopes": ["mail:read"], "accounts": [account]}
    token = api.post("/v1/token", json=wish).json()["token"]
    path, headers = f"/v1/account/{account}/message/{message}", {"Authorization": f"Bearer {token}"}
    answers = [
        api.put(path, json={"flags": {"add": ["\\Seen"]}}, headers=headers),
        api.put(f"{path}/move", json={"path": "Archive"}, headers=headers),
        api.delete(path, headers=headers),
    ]
    assert [(403, "mail:write")] * 3 == [(answer.status_code, answer.json()["requestedScope"]) for answer in answers]


def test_a_search_takes_a_thousand_ids(api: httpx.Client, account: str, message: str) -> None:
    ids = [
        message,
        *(f"{MESSAGE_ID}{number:04}" for number in range(999)),
    ]
    body = {"search": {"emailIds": ids}}

    page = api.post(f"/v1/account/{account}/search", params={"path": "INBOX", "pageSize": 1}, json=body).json()
    assert ([message], 1000) == ([each["id"] for each in page["messages"]], page["total"])


def test_many_messages_change_at_once(api: httpx.Client, account: str, tenant: Tenant) -> None:
    first, second = new_message(tenant), new_message(tenant)
    search = {"emailIds": [first, NO_ID, second]}
    route = f"/v1/account/{account}/messages"
    outcome = {
        "failed": [
            {
                "emailId": NO_ID,
                "code": "NotFound",
                "message": "No such message, attachment or folder in this mailbox",
            }
        ],
        "totals": {"done": 2, "unchanged": 0, "failed": 1, "notTried": 0},
        "complete": True,
    }

    def bulk(path: str, body: Any) -> Any:
        answer = api.put(f"{route}{path}", json={"search": search, **body})
        assert 200 == answer.status_code, answer.text
        answered = answer.json()
        assert outcome.items() <= answered.items()
        return {name: value for name, value in answered.items() if name not in outcome}

    both = {frozenset((first, second))}
    changed = bulk("", {"update": {"flags": {"add": ["\\Seen"]}, "labels": {"set": ["Red"]}}})
    assert both == {frozenset(changed.pop("emailIds"))}
    assert {"flags": {"add": ["\\Seen"]}, "labels": {"set": ["Red"]}} == changed
    assert read(api, account, second, "isRead") is True
    moved = bulk("/move", {"path": "\\Archive"})
    assert ("Archive", both) == (moved["path"], {frozenset(moved["emailIds"])})
    deleted = bulk("/delete", {})
    assert (True, "Deleted Items") == (deleted["deleted"], deleted["moved"]["destination"])
    assert both == {frozenset(deleted["moved"]["emailIds"])}
    gone = bulk("/delete?force=true", {})
    assert (True, both) == (gone["deleted"], {frozenset(gone["deletedMessages"]["emailIds"])})
    assert 404 == read(api, account, second, "subject")


@pytest.mark.parametrize(
    ("query", "body", "fields"),
    [
        ("", {"update": {"flags": {"add": ["\\Seen"]}}}, {"search"}),
        ("?path=INBOX", {"search": {}}, {"update"}),
        ("", {"search": {}, "update": {"flags": {"add": ["\\Seen"]}}}, {"path"}),
        ("?path=INBOX", {"search": {"emailIds": ["A"]}, "update": {"flags": {"add": ["\\Seen"]}}}, {"path"}),
        ("", {"search": {"emailIds": []}, **LABELS}, {"search.emailIds", "path"}),
        ("?path=INBOX", {"search": {"emailIds": ""}, **LABELS}, {"search.emailIds"}),
        ("?path=INBOX", {"search": {"emailId": ""}, **LABELS}, {"search.emailId"}),
        ("?path=INBOX", {"search": {"from": "", "unseen": ""}, **LABELS}, {"search.from", "search.unseen"}),
        ("?path=INBOX", {"search": {"since": " ", "larger": ""}, **LABELS}, {"search.since", "search.larger"}),
        ("", {"search": {"seen": True}, "update": {"flags": {"add": ["\\Draft"]}}}, {"path", "update.flags.add"}),
        ("?path=INBOX", {"search": {"colour": 1}, "update": {"labels": {"set": []}}}, {"search.colour"}),
    ],
)
def test_a_wrong_bulk_change_names_the_field(
    api: httpx.Client, account: str, query: str, body: Any, fields: set[str]
) -> None:
    answer = api.put(f"/v1/account/{account}/messages{query}", json=body)

    assert 400 == answer.status_code
    assert fields <= {each["key"] for each in answer.json()["fields"]}


def test_a_search_needs_the_scope_to_read(api: httpx.Client, account: str, message: str) -> None:
    wish = {"description": "writer", "scopes": ["mail:write"], "accounts": [account]}
    headers = {"Authorization": f"Bearer {api.post('/v1/token', json=wish).json()['token']}"}
    route = f"/v1/account/{account}/messages"
    bodies: dict[str, Any] = {
        "": {"update": {"labels": {"set": ["Red"]}}},
        "/move": {"path": "Archive"},
        "/delete": {},
    }
    for path, body in bodies.items():
        found = api.put(f"{route}{path}?path=INBOX", json={"search": {}, **body}, headers=headers)
        assert (403, "mail:read") == (found.status_code, found.json()["requestedScope"])
        known = api.put(f"{route}{path}", json={"search": {"emailIds": [message]}, **body}, headers=headers)
        assert 200 == known.status_code
