"""Response headers. The Functions host answers 500 for a value with line breaks or characters beyond ASCII."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import Forbidden, MailbindError, NotFound, Unavailable
from shared.domain.formats import percent_encoded
from shared.http.refusals import STATUSES, MethodNotAllowed
from shared.http.responses import problem, reply

SHARED = Path(__file__).parents[2] / "shared"
EDGES = ("http", "triggers", "api", "browser", "pages", "reference")
SENDABLE = re.compile(r"[\x20-\x7e]*")
ANY_TEXT = st.text(st.characters(exclude_categories=())) | st.text("a%ä\r\n\0\x7f 漢\ud800")


@given(ANY_TEXT)
def test_every_value_of_a_header_can_be_sent(text: str) -> None:
    (value,) = reply(None, 200, {"X-Any": text}).headers.values()

    assert SENDABLE.fullmatch(value)
    assert value == text or not SENDABLE.fullmatch(text)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_headers_of_refusals_can_be_sent(text: str) -> None:
    for error in (Forbidden(text, scope=text), MethodNotAllowed([text]), Unavailable(text, text), NotFound(text)):
        assert all(SENDABLE.fullmatch(value) for value in problem(error).headers.values())


@given(ANY_TEXT)
def test_a_url_is_sent_in_ascii_and_is_encoded_once(text: str) -> None:
    sent = percent_encoded(f"https://myapp.example/{text}")

    assert re.fullmatch(r"[!-~]*", sent)
    assert sent == percent_encoded(sent)


@pytest.mark.parametrize(
    ("what", "where"),
    [
        (r"func\.HttpResponse\(", {"responses.py"}),
        (r"\.headers(\.add|\[[^]]+\] =)", {"responses.py"}),
        # The host has decoded the path already. Decoding it again would undo the checks.
        (r"req\.url\b|\bunquote|\.raw_path", set()),
        # Form bodies and the caller's redirectUrl have not been decoded yet.
        (r"\bparse_qs", {"bounds.py"}),
    ],
)
def test_each_of_these_has_one_implementation(what: str, where: set[str]) -> None:
    files = [file for edge in EDGES for file in (SHARED / edge).rglob("*.py")]
    found = {file.name for file in files if re.search(what, file.read_text())}

    assert where == found


def test_every_refusal_has_a_status() -> None:
    def kinds(of: type[MailbindError]) -> list[type[MailbindError]]:
        return [of, *(kind for each in of.__subclasses__() for kind in kinds(each))]

    without = [kind.__name__ for kind in kinds(MailbindError) if not any(each in STATUSES for each in kind.__mro__)]

    assert ["MailbindError"] == without
