"""A search as $filter or $search of Graph: what goes where, and that no text of a caller becomes an operator."""

import re
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infra.local.tenant.mail.filters import MESSAGE_PROPERTIES, Filter
from infra.local.tenant.mail.search import TERM
from shared.api.mail.search_fields import SearchFields, search_of
from shared.domain.errors import InvalidInput
from shared.domain.mail.search import FILTERS, KEYWORDS, translated
from shared.http.decoding import Faults, decode

WHEN = datetime(2027, 1, 31, 9, 30, tzinfo=UTC)
VALUES = {
    "from": "ann",
    "to": "bo",
    "cc": "cy",
    "bcc": "di",
    "subject": "it's here",
    "body": "two words",
    "unseen": True,
    "draft": False,
    "flagged": True,
    "hasAttachments": True,
    "since": WHEN,
    "before": WHEN,
    "sentSince": WHEN,
    "sentBefore": WHEN,
    "larger": 1000,
    "smaller": 2000,
    "threadId": "AAQkA",
    "header": "<1@fabrikam.example>",
}
ONLY_FILTERED, ONLY_SEARCHED = FILTERS.keys() - KEYWORDS.keys(), KEYWORDS.keys() - FILTERS.keys()


def test_every_field_has_a_translation() -> None:
    assert VALUES.keys() == FILTERS.keys() | KEYWORDS.keys()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("from", "(from/emailAddress/address eq 'ann' or contains(from/emailAddress/name,'ann'))"),
        ("subject", "contains(subject,'it''s here')"),
        ("unseen", "isRead eq false"),
        ("draft", "isDraft eq false"),
        ("flagged", "flag/flagStatus eq 'flagged'"),
        ("hasAttachments", "hasAttachments eq true"),
        ("since", "receivedDateTime ge 2027-01-31T09:30:00Z"),
        ("before", "receivedDateTime lt 2027-01-31T09:30:00Z"),
        ("sentSince", "sentDateTime ge 2027-01-31T09:30:00Z"),
        ("sentBefore", "sentDateTime lt 2027-01-31T09:30:00Z"),
        ("threadId", "conversationId eq 'AAQkA'"),
        ("header", "internetMessageId eq '<1@fabrikam.example>'"),
    ],
)
def test_filters_begin_with_the_property_of_the_order(name: str, expected: str) -> None:
    found = translated({name: VALUES[name]})

    assert f"receivedDateTime ge 1900-01-01T00:00:00Z and {expected}" == found.filter
    assert not found.search
    assert "receivedDateTime" == Filter(found.filter, MESSAGE_PROPERTIES).properties[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("to", r"to:\"bo\""),
        ("cc", r"cc:\"cy\""),
        ("bcc", r"bcc:\"di\""),
        ("body", r"body:\"two words\""),
        ("larger", "size>1000"),
        ("smaller", "size<2000"),
    ],
)
def test_what_cannot_be_filtered_is_searched(name: str, expected: str) -> None:
    found = translated({name: VALUES[name], "since": WHEN, "from": "ann"})

    assert f'"{expected} AND received>=2027-01-31T09:30:00Z AND from:\\"ann\\""' == found.search
    assert not found.filter


def test_a_preferred_search_is_one_where_it_can_be() -> None:
    assert r'"subject:\"invoice\""' == translated({"subject": "invoice"}, prefer_search=True).search
    assert "isRead" in translated({"subject": "invoice", "unseen": True}, prefer_search=True).filter
    assert translated({}, prefer_search=True).filter


@pytest.mark.parametrize(("filtered", "searched"), [*product(sorted(ONLY_FILTERED), sorted(ONLY_SEARCHED))])
def test_impossible_combinations_are_named(filtered: str, searched: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        translated({filtered: VALUES[filtered], searched: VALUES[searched], "since": WHEN})

    assert list(refused.value.fields) == [f"search.{searched}"]
    assert filtered in refused.value.fields[f"search.{searched}"]


def test_ids_are_looked_for_alone() -> None:
    assert ("AAk=", "AAl=") == translated({"emailIds": ["AAk=", "AAl="]}).ids
    with pytest.raises(InvalidInput, match="Invalid input") as refused:
        translated({"emailIds": ["AAk="], "unseen": True})
    assert list(refused.value.fields) == ["search.emailIds"]


@given(st.text(min_size=1))
@example('x" OR from:"boss')
@example('x\\" OR received>2000')
@example("x” AND NOT y")
@example("NOT x*")
def test_no_text_becomes_part_of_a_search(text: str) -> None:
    try:
        found = translated({"subject": text}, prefer_search=True)
    except InvalidInput as refused:
        assert list(refused.fields) == ["search.subject"]  # noqa: PT017 - the other way is checked below
        return
    inner = found.search[1:-1]

    assert not set('"\\') & set(inner.replace('\\"', ""))
    ((minus, name, comparison, phrase, word),) = TERM.findall(inner.replace('\\"', '"'))
    assert ("", "subject", ":", "") == (minus, name, comparison, word)
    assert phrase.split() == re.sub('["\\\\*“”„‟«»〝〞〟＂]', " ", text).split()  # noqa: RUF001 - quotation marks


@given(st.text(min_size=1).filter(str.isprintable))
@example("x') or isRead eq true or contains(subject,'")
def test_no_text_becomes_part_of_a_filter(text: str) -> None:
    parsed = Filter(translated({"subject": text}).filter, MESSAGE_PROPERTIES)

    assert ["receivedDateTime", "subject"] == parsed.properties
    values = {"receivedDateTime": "2027-01-31T09:30:00Z", "subject": f"before {text} after"}
    assert parsed.matches(values.__getitem__)


def read(**search: Any) -> dict[str, Any]:
    faults = Faults()
    fields = decode(SearchFields, search, faults, "search.")
    faults.refuse()
    return dict(search_of(fields))


def test_fields_are_read_by_their_names() -> None:
    assert {"from": "ann", "unseen": True, "header": "<1@x.example>", "hasAttachments": True} == read(
        **{"from": "ann"}, seen="false", header={"Message-ID": "<1@x.example>"}, hasAttachments=True
    )
    assert {"emailIds": ["AAk="]} == read(emailId="AAk=")


@pytest.mark.parametrize(
    "search",
    [
        {"seen": True, "unseen": True},
        {"emailId": "AAk=", "emailIds": ["AAl="]},
        {"uid": "1:*"},
        {"seq": "1"},
        {"modseq": 7},
        {"gmailRaw": "is:unread"},
        {"labels": {"has": ["Red"]}},
        {"answered": False},
        {"header": {"x-spam": "1"}},
        {"subject": "x" * 257},
        {"since": "tomorrow"},
        {"larger": -1},
    ],
)
def test_wrong_fields_are_named(search: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(**search)

    assert any(key.startswith(f"search.{name}") for key in refused.value.fields for name in search)


def test_no_ids_are_not_all_messages() -> None:
    with pytest.raises(InvalidInput):
        translated({"emailIds": []})


@pytest.mark.parametrize("name", SearchFields.__struct_encode_fields__)
def test_an_empty_value_does_not_widen_a_search(name: str) -> None:
    faults = Faults()
    decode(SearchFields, {name: " "}, faults)

    assert {name} == faults.keys()
