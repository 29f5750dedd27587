"""Bodies whose members have another type than Graph documents."""

from string import Template
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.local.tenant.graph_request import PARAMETER_TYPES
from infra.local.tenant.mail.values import READERS
from tests.local.mail_visitor import MailVisitor

CALLS = (
    *("POST /sendMail", "POST /messages", "POST /messages/$id/forward", "POST /messages/$id/createForward"),
    *("POST /messages/$id/reply", "POST /messages/$id/replyAll", "POST /messages/$id/createReply"),
    *("POST /messages/$id/move", "POST /messages/$id/attachments", "PATCH /messages/$id", "POST /mailFolders"),
)
NAMES = (*PARAMETER_TYPES, *READERS, "attachments", "singleValueExtendedProperties", "item", "name", "contentBytes")
SCALARS = st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["a@b.example", "fileAttachment"])
KINDS = st.sampled_from(["#microsoft.graph.fileAttachment", "#microsoft.graph.itemAttachment"])
INNER_NAMES = st.sampled_from(["emailAddress", "address", "content", "id", "value", "name", "flagStatus", *NAMES])
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(INNER_NAMES, inner))
# Few members, because the first one that cannot be read ends the call.
MEMBERS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3)
BODIES = MEMBERS | st.builds(lambda members, kind: {**members, "@odata.type": kind}, MEMBERS, KINDS)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/messages/$id/reply", {"comment": ["Hello"]}),
        ("/messages/$id/createReply", {"comment": {"text": "Hello"}}),
        ("/messages/$id/replyAll", {"comment": 1}),
        ("/messages/$id/forward", {"message": "Hello"}),
        ("/messages/$id/forward", {"toRecipients": {"emailAddress": {"address": "a@b.example"}}}),
        ("/messages/$id/move", {"destinationId": ["inbox"]}),
        ("/sendMail", {"message": []}),
        ("/sendMail", {"message": {"toRecipients": []}, "saveToSentItems": []}),
        ("/mailFolders", {"displayName": 1}),
    ],
)
def test_parameter_of_another_type_is_refused(support: MailVisitor, path: str, body: dict[str, Any]) -> None:
    path = Template(path).substitute(id=support.items("/messages")[0]["id"])
    assert (400, "BadRequest") == support.refused(path, "POST", **body)


def test_no_body_makes_the_tenant_fail(support: MailVisitor) -> None:
    original = support.items("/messages")[0]["id"]

    @settings(max_examples=300)
    @given(call=st.sampled_from(CALLS), body=BODIES)
    def has_an_answer(call: str, body: dict[str, Any]) -> None:
        method, path = Template(call).substitute(id=original).split()
        assert support.call(method, path, json=body).status_code < 500

    has_an_answer()
