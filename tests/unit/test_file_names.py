"""Whatever a file is called, its name is fit for a header and for a file system."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.mail.file_names import MAX_NAME_BYTES, as_download, first_bytes, safe_file_name

ANY_TEXT = st.text(st.characters(), max_size=400)
# RFC 6266 section 4.1, with RFC 8187 section 3.2.1
HEADER = re.compile(r'attachment; filename="([ !#-\[\]-~]*)"(?:; filename\*=UTF-8\'\'([A-Za-z0-9._~%-]*))?')


@given(ANY_TEXT)
def test_any_name_makes_one_header_that_says_it(name: str) -> None:
    read = HEADER.fullmatch(as_download(name))

    assert read is not None
    assert safe_file_name(name).encode(errors="replace").decode() == (unquote(read[2]) if read[2] else read[1])


@given(ANY_TEXT)
def test_a_safe_name_is_one_segment_and_stays_as_it_is(name: str) -> None:
    safe = safe_file_name(name)

    assert safe.isprintable()
    assert not {"/", "\\"} & set(safe)
    assert 0 < len(safe.encode(errors="replace")) <= MAX_NAME_BYTES
    assert safe == safe_file_name(safe)


@pytest.mark.parametrize(
    ("size", "text"), [(0, ""), (1, "a"), (2, "a"), (3, "aé"), (6, "aé"), (7, "aé🍋"), (9, "aé🍋")]
)
def test_no_character_is_cut(size: int, text: str) -> None:
    assert text == first_bytes("aé🍋", size)
