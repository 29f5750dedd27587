"""POST /v1/account/{account}/message writes drafts, and refuses what it cannot write by the name of the field."""

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from infra.local.visitor import Visitor
from tests.environments import StartApp, trust
from tests.journey.conftest import Tenant, bind

MAILBOX = "support@contoso.example"
ORIGINAL = {
    "subject": "Order 4711",
    "from": {"emailAddress": {"name": "Dana", "address": "dana@fabrikam.example"}},
    "body": {"contentType": "html", "content": "<p>Where is it?</p>"},
    "attachments": [{"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentBytes": "YQ=="}],
}
DANA = {"address": "dana@fabrikam.example"}
MARKS = st.sampled_from(":<>\"',;@\\()[]=? \u2028\u202e")
HOSTILE = st.text(st.one_of(MARKS, st.characters(exclude_categories=["Cc", "Cs"])), max_size=40)
# Refused in every field of one line.
WITH_BREAKS = st.text(st.one_of(st.sampled_from("\r\n\x0b\x1c\x85:"), MARKS), max_size=40)
LINE = st.one_of(HOSTILE, HOSTILE, HOSTILE, WITH_BREAKS)
HEADER = st.one_of(st.just("a"), st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1), WITH_BREAKS)


class Desk:
    """The account `support` as its caller sees it, and the mailbox as Graph shows it through confined access."""

    def __init__(self, caller: httpx.Client, tenant: Tenant) -> None:
        self.caller, self.tenant = caller, tenant

    def write(self, **fields: Any) -> httpx.Response:
        return self.caller.post("/v1/account/support/message", json=fields)

    def written(self, **fields: Any) -> dict[str, Any]:
        answer = self.write(**fields)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def shown(self, message: str, **options: str) -> dict[str, Any]:
        path = f"/v1.0/users/{MAILBOX}/messages/{message}"
        headers = {"Prefer": 'IdType="ImmutableId"'}
        return dict(self.caller.get(path, params=options, headers=headers).raise_for_status().json())

    def drafts(self) -> int:
        return int(self.caller.get(f"/v1.0/users/{MAILBOX}/mailFolders/drafts").json()["totalItemCount"])

    def delivered(self) -> str:
        return str(self.tenant.do("deliver", mailbox=MAILBOX, message=ORIGINAL)["immutableIds"][0])


@pytest.fixture(scope="module")
def desk(start_app: StartApp) -> Iterator[Desk]:
    with start_app() as environment:
        ready = environment.tenant.ready
        with (
            httpx.Client(base_url=ready["controlUrl"] + "/", verify=trust(ready["caFile"]), timeout=30) as control,
            httpx.Client(base_url=environment.base_url, timeout=30) as caller,
            Visitor(ready["caFile"]) as visitor,
        ):
            tenant = Tenant(control)
            login = tenant.do("person", create=1, first=1)["people"][0]
            tenant.do("access", person=login, mailbox=MAILBOX, fullAccess=True, sendAs=True)
            caller.headers["Authorization"] = f"Bearer {environment.secrets.admin_token}"
            bind(caller, visitor, login, account="support", email=MAILBOX)
            wish = {"description": "writer", "scopes": ["mail:read", "mail:write"], "accounts": ["support"]}
            caller.headers["Authorization"] = f"Bearer {caller.post('/v1/token', json=wish).json()['token']}"
            yield Desk(caller, tenant)


def faults(answer: httpx.Response) -> set[str]:
    assert 400 == answer.status_code, answer.text
    return {each["key"] for each in answer.json()["fields"]}


def test_a_draft_is_written_as_emailengine_asks(desk: Desk) -> None:
    draft = desk.written(
        path="\\Drafts",
        flags=["\\Draft", "\\Flagged"],
        **{"from": {"name": "Help Desk", "address": MAILBOX}},
        to=[{"name": "Dana", "address": "dana@fabrikam.example"}],
        cc={"address": "erin@fabrikam.example"},
        subject="  What a wonderful message!",
        text="  Hello\n",
        messageId="<test@contoso.example>",
        headers={"X-Ticket": "4711"},
        importance="high",
        attachments=[{"filename": "Übersicht.png", "content": "aGk=\r\n", "cid": "<map@local>"}],
        locale="fr",
        deliveryAttempts=3,
        trackOpens=False,
    )

    assert {"id", "path", "threadId", "messageId"} == draft.keys()
    assert "Drafts" == draft["path"]
    assert "<test@contoso.example>" == draft["messageId"]
    shown = desk.shown(draft["id"], **{"$expand": "attachments"})
    assert {"emailAddress": {"name": "Help Desk", "address": MAILBOX}} == shown["from"]
    assert "erin@fabrikam.example" == shown["ccRecipients"][0]["emailAddress"]["address"]
    assert "What a wonderful message!" == shown["subject"]
    assert shown["isDraft"]
    assert not shown["isRead"]
    assert "flagged" == shown["flag"]["flagStatus"]
    (file,) = shown["attachments"]
    assert ("Übersicht.png", "image/png", "map@local", True, "aGk=") == tuple(
        file[name] for name in ("name", "contentType", "contentId", "isInline", "contentBytes")
    )


def test_empty_files_and_other_folders_are_possible(desk: Desk) -> None:
    draft = desk.written(path="Archive", to=[DANA], attachments=[{"filename": "empty", "content": ""}])

    shown = desk.shown(draft["id"], **{"$expand": "attachments"})
    assert "Archive" == draft["path"]
    assert 0 == shown["attachments"][0]["size"]
    assert desk.shown(draft["id"], **{"$select": "parentFolderId"})["parentFolderId"] == shown["parentFolderId"]
    assert draft["messageId"].endswith("@contoso.example>")


def test_a_forward_says_what_came_of_its_reference(desk: Desk) -> None:
    original = desk.delivered()
    reference = {"message": original, "action": "forward", "inline": True, "forwardAttachments": True}

    draft = desk.written(to=[DANA], text="See below", reference=reference)

    assert {"message": original, "success": True} == draft["reference"]
    shown = desk.shown(draft["id"], **{"$expand": "attachments"})
    assert draft["threadId"] == desk.shown(original)["conversationId"] == shown["conversationId"]
    assert "Where is it?" in shown["body"]["content"]
    assert ["a.txt"] == [each["name"] for each in shown["attachments"]]


def test_a_missing_reference_can_be_ignored(desk: Desk) -> None:
    missing = {"message": "AAMkAAAA"}
    assert 404 == desk.write(to=[DANA], reference=missing).status_code

    draft = desk.written(to=[DANA], reference={**missing, "ignoreMissing": True})
    assert (False, "AAMkAAAA") == (draft["reference"]["success"], draft["reference"]["message"])
    assert draft["reference"]["error"]


def test_raw_mime_keeps_its_message_id(desk: Desk) -> None:
    mime = b"From: support@contoso.example\r\nSubject: raw\r\nMessage-ID: <raw@contoso.example>\r\n\r\nHello\r\n"
    draft = desk.written(raw=base64.b64encode(mime).decode(), subject="replaced")

    assert "<raw@contoso.example>" == draft["messageId"]
    assert "replaced" == desk.shown(draft["id"])["subject"]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"to": [{"address": "nobody"}, {"name": "x"}]}, {"to[0].address", "to[1].address"}),
        ({"to": [DANA] * 501}, {"to"}),
        ({"to": [DANA] * 300, "bcc": [DANA] * 201}, {"to"}),
        ({"subject": "a\r\nBcc: eve@example.com"}, {"subject"}),
        ({"headers": {"Bcc": "eve@example.com"}}, {"headers"}),
        ({"headers": {"x-a": "b\r\nBcc: eve@example.com"}}, {"headers"}),
        ({"headers": {f"x-{number}": "a" for number in range(6)}}, {"headers"}),
        ({"headers": {"x-a": "a", "X-A": "b"}}, {"headers"}),
        ({"messageId": "<a b@c>"}, {"messageId"}),
        ({"attachments": [{"content": "not base64!"}, {}]}, {"attachments[0].content", "attachments[1].content"}),
        ({"attachments": [{"content": "YQ==", "reference": "kqFtoWE"}]}, {"attachments[0].content"}),
        ({"attachments": [{"reference": "nothing"}]}, {"attachments[0].reference"}),
        ({"attachments": [{"content": "YQ==", "encoding": "hex"}]}, {"attachments[0].encoding"}),
        ({"raw": "?"}, {"raw"}),
        ({"raw": "YQ==", "headers": {"x-a": "b"}, "reference": {"message": "AAAA"}}, {"headers", "reference"}),
        ({"reference": {"message": "AAAA", "forwardAttachments": True}}, {"reference.forwardAttachments"}),
        ({"reference": {"message": "../x"}}, {"reference.message"}),
        ({"flags": ["\\Answered"]}, {"flags"}),
        ({"path": "\\All"}, {"path"}),
        ({"internalDate": "2026-01-01T00:00:00Z"}, {"internalDate"}),
        ({"template": "t", "gateway": "g", "trackClicks": True}, {"template", "gateway", "trackClicks"}),
        ({"mailMerge": [{}], "envelope": {"from": "a"}, "odd": 1}, {"mailMerge", "envelope", "odd"}),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_refused_by_name(desk: Desk, fields: dict[str, Any], wrong: set[str]) -> None:
    before = desk.drafts()
    assert wrong == faults(desk.write(**fields))
    assert before == desk.drafts()


def test_an_answer_does_not_name_a_million_fields(desk: Desk) -> None:
    answer = desk.write(**{f"odd{number}": 1 for number in range(200_000)})
    assert 400 == answer.status_code
    assert 50 == len(answer.json()["fields"])


def test_another_sender_is_refused_with_the_allowed_one(desk: Desk) -> None:
    mime = base64.b64encode(b"From: eve@contoso.example\r\nSubject: a\r\n\r\nb").decode()
    for fields in ({"from": {"address": "eve@contoso.example"}}, {"raw": mime}):
        answer = desk.write(**fields)
        assert (403, "wrong_sender") == (answer.status_code, answer.json()["code"])
        assert MAILBOX in answer.json()["message"]


def test_a_body_that_is_too_large_is_told_the_way(desk: Desk) -> None:
    answer = desk.write(to=[DANA], attachments=[{"content": "A" * 4 * 2**20}])
    assert 413 == answer.status_code
    assert "attachments" in answer.json()["message"]

    large = base64.b64encode(bytes(3_000_001)).decode()
    answer = desk.write(to=[DANA], attachments=[{"content": large}])
    assert (413, "message_too_large") == (answer.status_code, answer.json()["code"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=LINE, subject=LINE, text=st.one_of(HOSTILE, WITH_BREAKS), filename=LINE, header=HEADER)
@example('"Eve" <eve@example.com>,', "Bcc: eve@example.com", "\r\nBcc: eve@example.com", 'a"; b=c', "a: b")
def test_no_text_becomes_another_header(
    desk: Desk, name: str, subject: str, text: str, filename: str, header: str
) -> None:
    answer = desk.write(
        to=[{"name": name, "address": DANA["address"]}],
        subject=subject,
        text=text,
        headers={"x-hostile": header},
        attachments=[{"filename": filename, "content": "YQ=="}],
    )
    assert answer.status_code in {200, 400}, answer.text
    if not answer.is_success:
        return
    shown = desk.shown(answer.json()["id"])
    assert [DANA["address"]] == [each["emailAddress"]["address"] for each in shown["toRecipients"]]
    assert [] == shown["bccRecipients"] == shown["ccRecipients"]
    assert MAILBOX == shown["from"]["emailAddress"]["address"]
    assert subject.strip() == shown["subject"]
    headers = desk.shown(answer.json()["id"], **{"$select": "internetMessageHeaders"})["internetMessageHeaders"]
    assert {"x-hostile"} >= {each["name"] for each in headers}
