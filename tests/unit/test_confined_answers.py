"""Answers of Graph: only the links are changed, and none leads to Graph."""

import json
from typing import Any

import pytest

from shared.domain.confined.answers import link_here, localize
from shared.domain.confined.queries import encoded_query
from shared.domain.confined.refused import AnswerNotUnderstood, AnswerTooDense
from shared.usecases.mail.answers import MAX_OBJECTS, decoded

GRAPH, HERE, OID = "https://graph.microsoft.com", "https://mailbind.example", "622eaaff-0683-4862-9de4-f2ec83c2bd98"


def test_an_answer_has_a_number_of_objects_at_most() -> None:
    """More of them would hold up everything else."""
    most = b"[" + b",".join([b"{}"] * (MAX_OBJECTS - 1)) + b"]"

    assert MAX_OBJECTS - 1 == len(decoded(most))
    with pytest.raises(AnswerTooDense, match="250000"):
        decoded(most.replace(b"{}", b"{},[]", 1))


def test_brackets_in_a_strangers_text_are_no_objects() -> None:
    text = '[{"' * MAX_OBJECTS

    assert [text] == decoded(json.dumps([text]).encode())
    with pytest.raises(AnswerNotUnderstood):
        decoded(b'["' + b"[" * (MAX_OBJECTS + 1))


def test_links_lead_back_here_and_the_mail_stays_as_it_is() -> None:
    body = f"See {GRAPH}/v1.0/me and @odata.nextLink"
    document: dict[str, Any] = {
        "@odata.context": f"{GRAPH}/v1.0/$metadata#users('{OID}')/messages",
        "@odata.nextLink": f"{GRAPH}/v1.0/users('{OID}')/mailFolders('inbox')/messages?$top=2&$skip=2",
        "value": [
            {
                "@odata.id": f"{GRAPH}/v1.0/users('{OID}')/messages('A')",
                "@odata.editLink": "https://evil.example/",
                "@microsoft.graph.downloadUrl": f"{GRAPH}/x",
                "attachments@odata.context": f"{GRAPH}/v1.0/$metadata#attachments",
                "webLink": "https://outlook.office365.com/owa/?ItemID=A",
                "body": {"content": body},
            }
        ],
    }
    (link,) = localize(document, GRAPH, HERE)
    link.place[link.name] = link_here(link, HERE, "support@contoso.example", encoded_query(link.options))
    assert document["@odata.nextLink"] == (
        f"{HERE}/v1.0/users/support@contoso.example/mailFolders/inbox/messages?$top=2&$skip=2"
    )
    (message,) = document["value"]
    assert message.pop("body") == {"content": body}
    assert GRAPH not in json.dumps(document)
    assert message == {
        "@odata.id": f"{HERE}/v1.0/users('{OID}')/messages('A')",
        "attachments@odata.context": f"{HERE}/v1.0/$metadata#attachments",
    }


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/v1.0/users/x/messages?$skip=2",
        f"{GRAPH}.evil.example/v1.0/users/x/messages",
        f"{GRAPH}/beta/users/x/messages",
        f"{GRAPH}/v1.0/me/messages?$skip=2",
        f"{GRAPH}/v1.0/users/x/contacts?$skip=2",
        f"{GRAPH}/v1.0/users/x/../y/messages",
        f"{GRAPH}/v1.0/users/x/messages?$format=xml",
        7,
    ],
)
def test_a_next_link_that_has_no_row_is_not_dropped_silently(link: object) -> None:
    with pytest.raises(AnswerNotUnderstood):
        localize({"@odata.nextLink": link}, GRAPH, HERE)
