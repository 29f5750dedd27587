"""The local host decodes every path once and removes dot segments."""

from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from infra.local.host.paths import read_path, write_path

PIECES = ["/", ".", "..", "%2e", "%2E", "%252e", "%2f", "%5c", "\\", "%ff", "%C3%A9", "%e2%82", "%zz", "%", "a", ";"]
TARGETS = st.lists(st.sampled_from(PIECES), max_size=20).map(lambda pieces: "/" + "".join(pieces))
TEXTS = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda text: text not in {".", ".."}
)


@given(target=TARGETS)
def test_dot_segments_are_removed(target: str) -> None:
    assert not {".", ".."} & set(read_path(target).split("/"))


@given(text=TEXTS)
def test_path_is_decoded_once(text: str) -> None:
    assert f"/{text}" == read_path(f"/{quote(text, safe='')}")


@given(target=TARGETS)
def test_written_url_is_ascii_and_reads_back_the_same(target: str) -> None:
    """Unless a percent sign remains: it looks like an encoded one."""
    path = read_path(target)
    url = write_path(path)

    assert url.isascii()
    assert "%" in path or path == read_path(url)
