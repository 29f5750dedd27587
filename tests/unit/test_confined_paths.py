"""The grammar of confined access: what matches a row, and that everything else is refused with a reason."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.confined.operations import OPERATIONS
from shared.domain.confined.paths import match_path
from shared.domain.confined.refused import NotConfined

BOUND = "support@contoso.example"
MESSAGE = "AAMkAGI2TG93AAA="
CANONICAL = re.compile(r"/v1\.0/users/support@contoso\.example(?:/[A-Za-z0-9_=$-]+)+")


@pytest.mark.parametrize(
    ("method", "path", "name", "upstream"),
    [
        ("GET", f"users/{BOUND}/messages", "messages.list", "messages"),
        ("HEAD", f"users/{BOUND}/messages", "messages.list", "messages"),
        ("GET", f"users('{BOUND}')/mailFolders('inbox')/messages", "messages.list", "mailFolders/inbox/messages"),
        ("GET", f"Users/{BOUND}/mailfolders/Inbox/Messages", "messages.list", "mailFolders/Inbox/messages"),
        ("GET", f"users/{BOUND}/messages/{MESSAGE}/$value", "message.content", f"messages/{MESSAGE}/$value"),
        ("GET", f"users/{BOUND}/mailFolders/inbox/messages/delta()", "messages.delta", None),
        ("GET", f"users/{BOUND}/mailFolders/inbox/messages/microsoft.graph.delta()", "messages.delta", None),
        ("POST", f"users/{BOUND}/messages/{MESSAGE}/createreply", "reply.create", f"messages/{MESSAGE}/createReply"),
        ("POST", f"users/{BOUND}/sendmail", "mail.send", "sendMail"),
        ("POST", f"users/{BOUND}/mailFolders/a/childFolders/b/messages/{MESSAGE}/move", "message.move", None),
    ],
)
def test_a_path_of_the_table_is_built_anew(method: str, path: str, name: str, upstream: str | None) -> None:
    matched = match_path(method, path)
    assert name == matched.operation.name
    assert CANONICAL.fullmatch(matched.in_mailbox(BOUND))
    if upstream is not None:
        assert f"/v1.0/users/{BOUND}/{upstream}" == matched.in_mailbox(BOUND)


@pytest.mark.parametrize(
    ("method", "path", "reason"),
    [
        ("GET", "me/messages", "no /me"),
        ("GET", "me", "no /me"),
        ("GET", "", "begin with"),
        ("GET", "groups/x/messages", "begin with"),
        ("GET", "search/query", "begin with"),
        ("GET", "subscriptions", "begin with"),
        ("GET", f"users/{BOUND}", "not part"),
        ("GET", f"users/{BOUND}/calendar", "not part"),
        ("GET", f"users/{BOUND}/manager", "not part"),
        ("GET", f"users/{BOUND}/mailboxSettings", "not part"),
        ("GET", f"users/{BOUND}/mailFolders/inbox/messageRules", "not part"),
        ("GET", f"users/{BOUND}/messages/{MESSAGE}/microsoft.graph.eventMessage/event", "not part"),
        ("GET", f"users/{BOUND}/messages/{MESSAGE}/$ref", "not part"),
        ("POST", f"users/{BOUND}/messages/{MESSAGE}/permanentDelete", "not part"),
        ("POST", f"users/{BOUND}/messages/{MESSAGE}/attachments/createUploadSession", "Upload sessions"),
        ("PUT", f"users/{BOUND}/messages/{MESSAGE}", "DELETE and GET and PATCH only"),
        ("GET", f"users/{BOUND}/messages/", "empty"),
        ("GET", f"users/{BOUND}//messages", "empty"),
        ("GET", f"users/{BOUND}/messages/..", "empty or relative"),
        ("GET", f"users/{BOUND}/../board@contoso.example/messages", "empty or relative"),
        ("GET", "users/../messages", "empty or relative"),
        ("GET", f"users/{BOUND}/messages/%2e%2e", "encoded"),
        ("GET", f"users/{BOUND}/messages/a%2Fb", "encoded"),
        ("GET", f"users/{BOUND}\\messages", "encoded"),
        ("GET", f"users/{BOUND}/messages\x00", "encoded"),
        ("GET", f"users/{BOUND}/messages\r\n/x", "encoded"),
        ("GET", f"users/{BOUND}/messages;x=1", "not part"),
        ("GET", f"users/{BOUND}/messages/..;", "not part"),
        ("GET", "users('a')/users('b')/messages", "not part"),
        ("GET", f"https://evil.example/users/{BOUND}/messages", "begin with"),
    ],
)
def test_any_other_path_is_refused_with_a_reason(method: str, path: str, reason: str) -> None:
    with pytest.raises(NotConfined, match=re.escape(reason)):
        match_path(method, path)


WORDS = (
    f"users me {BOUND} board@contoso.example messages mailFolders inbox .. . %2e%2e $value delta() attachments"
    f" childFolders sendMail users('x') a/b \\ $batch {MESSAGE} event"
)
PIECES = st.sampled_from([*WORDS.split(), ""]) | st.text(max_size=8)
METHODS = st.sampled_from(["GET", "POST", "PATCH", "DELETE", "PUT"])


@given(METHODS, st.lists(PIECES, max_size=9).map("/".join))
def test_built_path_is_always_in_the_bound_mailbox(method: str, path: str) -> None:
    try:
        matched = match_path(method, path)
    except NotConfined:
        return
    built = matched.in_mailbox(BOUND)
    assert CANONICAL.fullmatch(built)
    assert not {"", ".", ".."} & set(unquote(built).split("/")[1:])
    assert matched.operation in OPERATIONS


def test_every_row_can_be_reached_and_has_a_name_of_its_own() -> None:
    for operation in OPERATIONS:
        for shape in operation.shapes:
            path = f"users/{BOUND}/" + re.sub(r"\{\w+\}", MESSAGE, shape)
            assert operation.name == match_path(operation.method, path).operation.name
    assert len({(row.method, row.shape) for row in OPERATIONS}) == len(OPERATIONS)
