"""Messages of Graph as lists show them, and paths of folders."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.mail.message_fields import listed_message
from shared.domain.mail.attachment_id import read_attachment_id
from shared.domain.mail.folders import SpecialUse, names_of, path_of, special_use_of
from shared.domain.mail.message import message_of
from shared.usecases.mail.answers import decoded

GRAPH = {
    "id": "AAk=",
    "conversationId": "AAQ=",
    "parentFolderId": "AAM=",
    "receivedDateTime": "1999-01-31T09:30:00Z",
    "isDraft": False,
    "isRead": True,
    "flag": {"flagStatus": "flagged"},
    "subject": None,
    "from": {"emailAddress": {"name": "Ann", "address": "ann@fabrikam.example"}},
    "replyTo": [],
    "toRecipients": [{"emailAddress": {"name": None, "address": "support@contoso.example"}}],
    "internetMessageId": "<1@fabrikam.example>",
    "categories": ["Red category"],
    "bodyPreview": "Hello",
    "attachments": [{"id": "AAkB=", "name": "a.gif", "contentType": "image/gif", "size": 4, "isInline": True,
                     "contentId": "logo"}],
}  # fmt: skip


def test_an_entry_has_emailengines_fields() -> None:
    entry = msgspec.to_builtins(listed_message(message_of(GRAPH), "Inbox"))
    (attachment,) = entry.pop("attachments")

    assert entry == {
        "id": "AAk=",
        "emailId": "AAk=",
        "threadId": "AAQ=",
        "path": "Inbox",
        "date": "1999-01-31T09:30:00.000Z",
        "draft": False,
        "unseen": False,
        "flagged": True,
        "subject": "",
        "from": {"name": "Ann", "address": "ann@fabrikam.example"},
        "replyTo": [],
        "to": [{"name": "", "address": "support@contoso.example"}],
        "cc": [],
        "bcc": [],
        "messageId": "<1@fabrikam.example>",
        "flags": ["\\Seen", "\\Flagged"],
        "labels": ["Red category"],
        "text": {"id": "AAk=", "encodedSize": {}},
        "preview": "Hello",
    }
    assert ("AAk=", "AAkB=") == read_attachment_id(attachment.pop("id"))
    assert attachment == {
        "contentType": "image/gif",
        "encodedSize": 4,
        "inline": True,
        "embedded": True,
        "filename": "a.gif",
        "contentId": "<logo>",
    }


def test_a_message_without_anything_is_shown_too() -> None:
    bare = {"id": "AAk=", "receivedDateTime": "2027-01-31T09:30:00Z", "from": None, "flag": None}

    assert "from" not in msgspec.to_builtins(listed_message(message_of(bare)))


@given(st.lists(st.text(min_size=1), min_size=1))
def test_every_path_leads_to_its_names(names: list[str]) -> None:
    assert names == names_of(path_of(names))


def test_special_uses_are_named_in_any_case() -> None:
    assert SpecialUse.SENT is special_use_of("\\sent")
    assert SpecialUse.INBOX is special_use_of("inbox")
    assert special_use_of("Sent Items") is None


@pytest.mark.parametrize("half", [rb"\ud83d", b"\xed\xa0\xbd"])
def test_half_a_letter_hides_no_message(half: bytes) -> None:
    whole = (
        b'{"id": "A", "receivedDateTime": "2027-01-31T00:00:00Z", "subject": "\\ud83c\\udf4b", "bodyPreview": "x%b"}'
    )
    shown = listed_message(message_of(decoded(whole % half)))

    preview = json.loads(msgspec.json.encode(shown))["preview"]
    assert ("\U0001f34b", "x") == (shown.subject, preview.rstrip("?"))
