"""What a change of flags and labels makes of a message."""

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.mail.changes import MessageChange, SetChange, change_faults
from shared.domain.mail.message import message_of
from tests.fuzz.conftest import FUZZED

FLAGS, LABELS = ("\\Seen", "\\Flagged"), ("Red", "Green", "Blue")


def set_changes(values: tuple[str, ...]) -> st.SearchStrategy[SetChange]:
    some = st.lists(st.sampled_from(values), unique=True).map(tuple)
    return st.builds(SetChange, add=some, delete=some) | st.builds(SetChange, set=some)


MESSAGES = st.fixed_dictionaries(
    {
        "id": st.just("AAAA"),
        "isRead": st.booleans(),
        "flag": st.sampled_from(["notFlagged", "flagged", "complete"]).map(lambda status: {"flagStatus": status}),
        "categories": st.lists(st.sampled_from(LABELS), unique=True),
    }
)


@FUZZED
@given(st.builds(MessageChange, set_changes(FLAGS), set_changes(LABELS)), MESSAGES)
def test_a_changed_message_needs_no_other_change(change: MessageChange, json: dict[str, object]) -> None:
    before = message_of(json)
    after = message_of(json | change.properties(before.categories))

    assert change.is_done(after) or [*change_faults(change)]
    if change.is_done(before):
        assert ({*before.flags}, {*before.categories}) == ({*after.flags}, {*after.categories})


@FUZZED
@given(st.builds(MessageChange, set_changes(FLAGS), set_changes(LABELS)), MESSAGES)
def test_only_what_was_asked_for_changes(change: MessageChange, json: dict[str, object]) -> None:
    before = message_of(json)
    after = message_of(json | change.properties(before.categories))

    for part, was, is_now in (
        (change.flags, before.flags, after.flags),
        (change.labels, before.categories, after.categories),
    ):
        for value in {*was} ^ {*is_now}:
            assert part.of(value) is (value in is_now) or [*change_faults(change)]
