"""Every known way out of one mailbox, sent as raw bytes past any client library; the tenant's journal is the oracle."""

from dataclasses import dataclass, field

import pytest

from tests import raw_http
from tests.confined.conftest import BOARD, SALES, SUPPORT, TwoMailboxes

HERE = f"/v1.0/users/{SUPPORT}"
MESSAGE = "AAMkAGI2TG93AAA="


@dataclass(frozen=True)
class Escape:
    """A request that must not reach another mailbox, nor anything else of the person."""

    target: str
    method: str = "GET"
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def post(path: str, body: str, content_type: str = "application/json") -> Escape:
    return Escape(f"{HERE}/{path}", "POST", body.encode(), {"Content-Type": content_type})


def batch(url: str) -> Escape:
    body = f'{{"requests":[{{"id":"1","method":"GET","url":"{url}"}}]}}'
    return Escape("/v1.0/$batch", "POST", body.encode(), {"Content-Type": "application/json"})


DOT_SEGMENTS = {
    f"dot segments {number}": Escape(target)
    for number, target in enumerate(
        (
            f"{HERE}/messages/../../{SALES}/messages",
            f"{HERE}/messages/../../../me/messages",
            f"{HERE}/messages/%2e%2e/%2e%2e/{SALES}/messages",
            f"{HERE}/messages/%2E%2E/%2E%2E/{SALES}/messages",
            f"{HERE}/messages/.%2e/.%2e/{SALES}/messages",
            f"{HERE}/messages/..%2f..%2f{SALES}%2fmessages",
            f"{HERE}/messages/%252e%252e/%252e%252e/{SALES}/messages",
            f"{HERE}/messages/..;/..;/{SALES}/messages",
            f"{HERE}/messages/..\\..\\{SALES}\\messages",
            f"{HERE}/messages/..%5c..%5c{SALES}%5cmessages",
            f"{HERE}/messages/%c0%ae%c0%ae/{SALES}/messages",
            f"{HERE}/messages/{MESSAGE}%00/../../../{SALES}/messages",
            f"{HERE}/./messages/%zz",
        )
    )
}
PATHS = {
    "absolute target": Escape(f"https://graph.microsoft.com/v1.0/users/{SALES}/messages"),
    "absolute path inside": Escape(f"{HERE}/https://evil.example/messages"),
    "scheme-relative": Escape(f"//evil.example/v1.0/users/{SALES}/messages"),
    "encoded slash": Escape(f"{HERE}/messages/{MESSAGE}%2F..%2F..%2F..%2F{SALES}"),
    "encoded slash in the mailbox": Escape(f"/v1.0/users/{SUPPORT}%2F..%2F{SALES}/messages"),
    "double slash": Escape(f"{HERE}//messages"),
    "double slash before": Escape(f"/v1.0//users/{SALES}/messages"),
    "trailing slash": Escape(f"{HERE}/messages/"),
    "matrix parameter": Escape(f"/v1.0/users/{SUPPORT};x={SALES}/messages"),
    "me": Escape("/v1.0/me/messages"),
    "me in any case": Escape("/v1.0/ME/mailFolders/inbox"),
    "me as a mailbox": Escape("/v1.0/users/me/messages"),
    "the token replacement of SDKs": Escape("/v1.0/users/me-token-to-replace/messages"),
    "subscriptions": Escape("/v1.0/subscriptions", "POST", b"{}", {"Content-Type": "application/json"}),
    "search of everything": Escape("/v1.0/search/query", "POST", b"{}", {"Content-Type": "application/json"}),
    "groups": Escape("/v1.0/groups/x/threads"),
    "drives": Escape(f"{HERE}/drive/root"),
    "another user": Escape(f"/v1.0/users/{SALES}/messages"),
    "another user in parentheses": Escape(f"/v1.0/users('{SALES}')/messages"),
    "an unbound mailbox": Escape(f"/v1.0/users/{BOARD}/messages"),
    "the user": Escape(HERE),
    "manager": Escape(f"{HERE}/manager"),
    "calendar": Escape(f"{HERE}/calendar/events"),
    "contacts": Escape(f"{HERE}/contacts"),
    "cast to the event": Escape(f"{HERE}/messages/{MESSAGE}/microsoft.graph.eventMessage/event"),
    "ref": Escape(f"{HERE}/messages/$ref"),
    "rules": Escape(f"{HERE}/mailFolders/inbox/messageRules"),
    "mailbox settings": Escape(f"{HERE}/mailboxSettings"),
    "permanent delete": post(f"messages/{MESSAGE}/permanentDelete", "{}"),
    "upload session": post(f"messages/{MESSAGE}/attachments/createUploadSession", "{}"),
    "translate ids": post("translateExchangeIds", "{}"),
    "beta": Escape(f"/beta/users/{SALES}/messages"),
    "a quote in the key": Escape(f"/v1.0/users('{SUPPORT}')/messages('x')/../../users('{SALES}')/messages"),
    "two keys": Escape(f"/v1.0/users('{SUPPORT}')('{SALES}')/messages"),
}
QUERIES = {
    "expand the event": Escape(f"{HERE}/messages?$expand=microsoft.graph.eventMessage/event"),
    "filter by the root": Escape(f"{HERE}/messages?$filter=id%20in%20$root/users('{SALES}')/messages"),
    "format": Escape(f"{HERE}/messages?$format=atom"),
    "an id option": Escape(f"{HERE}/messages?$id=https://graph.microsoft.com/v1.0/users/{SALES}/messages"),
    "a made-up delta token": Escape(f"{HERE}/mailFolders/inbox/messages/delta?$deltatoken=abc"),
    "a made-up skip token": Escape(f"{HERE}/messages?$skiptoken=abc"),
    "a line break in the query": Escape(f"{HERE}/messages?$search=%22a%0d%0aHost:%20evil.example%22"),
}
BODIES = {
    "bind": post("messages", f'{{"toRecipients@odata.bind": ["https://graph.microsoft.com/v1.0/users/{SALES}"]}}'),
    "id": post("messages", f'{{"@odata.id": "users/{SALES}/messages/x"}}'),
    "another type": post("messages", '{"@odata.type": "#microsoft.graph.eventMessageRequest"}'),
    "a reference": post(
        f"messages/{MESSAGE}/attachments", '{"@odata.type": "#microsoft.graph.referenceAttachment", "name": "x"}'
    ),
    "from": post("sendMail", f'{{"message": {{"from": {{"emailAddress": {{"address": "{SALES}"}}}}}}}}'),
    "From": post("sendMail", f'{{"Message": {{"From": {{"EmailAddress": {{"Address": "{SALES}"}}}}}}}}'),
    "sender": post("messages", f'{{"sender": {{"emailAddress": {{"address": "{SALES}"}}}}}}'),
    "from twice": post("messages", f'{{"from": null, "FROM": {{"emailAddress": {{"address": "{SALES}"}}}}}}'),
    "escaped name": post("messages", f'{{"\\u0066rom": {{"emailAddress": {{"address": "{SALES}"}}}}}}'),
    "MAPI sender": post(
        "messages", f'{{"singleValueExtendedProperties": [{{"id": "String 0x0065", "value": "{SALES}"}}]}}'
    ),
    "header": post("messages", f'{{"internetMessageHeaders": [{{"name": "From", "value": "{SALES}"}}]}}'),
    "foreign folder": post(f"messages/{MESSAGE}/move", f'{{"destinationId": "users/{SALES}/mailFolders/inbox"}}'),
    "MIME from": post("sendMail", "RnJvbTogc2FsZXNAY29udG9zby5leGFtcGxlDQoNCkhp", "text/plain"),
    "a patched draft": Escape(
        f"{HERE}/messages/{MESSAGE}",
        "PATCH",
        f'{{"from": {{"emailAddress": {{"address": "{SALES}"}}}}}}'.encode(),
        {"Content-Type": "application/json"},
    ),
}
BATCHES = {
    "part of another mailbox": batch(f"/users/{SALES}/messages"),
    "part of me": batch("/me/messages"),
    "absolute part": batch(f"https://graph.microsoft.com/v1.0/users/{SALES}/messages"),
    "part with a version": batch(f"/v1.0/users/{SALES}/messages"),
    "part with dots": batch(f"/users/{SUPPORT}/messages/../../{SALES}/messages"),
    "part with encoded dots": batch(f"/users/{SUPPORT}/messages/%2e%2e/%2e%2e/{SALES}/messages"),
    "part encoded twice": batch(f"/users/{SUPPORT}/messages/%252e%252e/%252e%252e/{SALES}/messages"),
    "batch in a batch": batch("/$batch"),
    "repeated requests": Escape(
        "/v1.0/$batch",
        "POST",
        f'{{"requests":[],"requests":[{{"id":"1","method":"GET","url":"/users/{SALES}/messages"}}]}}'.encode(),
        {"Content-Type": "application/json"},
    ),
}
HEADERS = {
    "anchor mailbox": Escape(f"{HERE}/messages", headers={"X-AnchorMailbox": SALES}),
    "method override": Escape(f"{HERE}/messages/{MESSAGE}", headers={"X-HTTP-Method-Override": "DELETE"}),
    "original URL": Escape(f"{HERE}/messages", headers={"X-Original-URL": f"/v1.0/users/{SALES}/messages"}),
    "cookie": Escape(f"{HERE}/messages", headers={"Cookie": "a=b"}),
    "forwarded host": Escape(f"{HERE}/messages", headers={"X-Forwarded-Host": "evil.example"}),
}
ESCAPES = {
    f"{kind}: {name}": escape
    for kind, cases in (
        ("path", {**DOT_SEGMENTS, **PATHS}),
        ("query", QUERIES),
        ("body", BODIES),
        ("batch", BATCHES),
        ("header", HEADERS),
    )
    for name, escape in cases.items()
}
PASSED_ON = {
    "accept", "accept-encoding", "authorization", "client-request-id", "connection", "consistencylevel",
    "content-length", "content-type", "host", "if-match", "prefer", "user-agent",
}  # fmt: skip


@pytest.fixture(scope="module")
def bearer(mailboxes: TwoMailboxes) -> str:
    return mailboxes.token()


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES.keys())
def test_no_way_leads_out_of_the_mailbox(mailboxes: TwoMailboxes, bearer: str, escape: Escape) -> None:
    calls = len(mailboxes.tenant.events("graph called"))
    answer = raw_http.send(
        mailboxes.environment.base_url,
        escape.method,
        escape.target,
        escape.body,
        Authorization=f"Bearer {bearer}",
        **escape.headers,
    )
    assert answer.status < 500, answer.body
    reached = mailboxes.tenant.events("graph called")[calls:]
    for call in reached:
        assert call["path"].startswith(HERE), call
        assert SUPPORT == call["mailbox"] or call["mailbox"] is None, call
        assert set(call["headers"]) <= PASSED_ON, call
    if escape not in HEADERS.values():
        assert [] == reached
    assert [] == [mail for mail in mailboxes.tenant.events("mail sent") if SUPPORT != mail["from"]]
