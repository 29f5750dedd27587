"""Ids of attachments: they come back as they went, and nothing else is taken for one."""

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import NotFound
from shared.domain.mail.attachment_id import attachment_id, read_attachment_id

GRAPH_IDS = st.from_regex(r"\A[A-Za-z0-9_=-]{1,512}\Z")


def packed(value: object) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(value)).rstrip(b"=").decode()


@given(GRAPH_IDS, GRAPH_IDS)
def test_an_id_is_what_emailengine_writes(message: str, attachment: str) -> None:
    written = attachment_id(message, attachment)

    assert packed([message, attachment]) == written
    assert (message, attachment) == read_attachment_id(written)


@given(st.text() | st.from_regex(r"\A[A-Za-z0-9_-]{1,60}\Z") | st.lists(st.text(), max_size=3).map(packed))
def test_what_is_read_is_what_would_be_written(text: str) -> None:
    try:
        read = read_attachment_id(text)
    except NotFound:
        return
    assert text == attachment_id(*read)


@pytest.mark.parametrize(
    "value", [[], ["m"], ["m", "a", "x"], ["m", "../a"], ["m/x", "a"], ["", "a"], ["m", 1], {"m": "a"}, "ma"]
)
def test_nothing_else_is_an_id(value: object) -> None:
    with pytest.raises(NotFound):
        read_attachment_id(packed(value))


@pytest.mark.parametrize("spelling", ["kqFtoWE=", "kqFtoWF", "kqFtoW_", "ktkBbaFh", "kqFtoWE\n", "kqFtoWEA", "é", ""])
def test_an_id_has_one_spelling(spelling: str) -> None:
    assert ("m", "a") == read_attachment_id("kqFtoWE")

    with pytest.raises(NotFound):
        read_attachment_id(spelling)
