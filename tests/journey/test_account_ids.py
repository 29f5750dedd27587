"""Each accepted id is the id of exactly one account, whatever the host does to the path."""

import http.client
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.conftest import EXAMPLES
from tests.journey.many import SALES, SUPPORT, Many, where_grants_serve_many  # noqa: F401 - a fixture
from tests.journey.test_add_account import add, keys, parent, wish

# What hosts, proxies and clients like to decode, to encode and to take out of a path.
PIECES = ["%", "%2F", "%2f", "%5C", "%2e%2e", "%252F", "%ff", "%00", "%zz", "..", ".", ";v=1", "+", " ", "~", "?", "#"]
IDS = st.lists(st.sampled_from([*PIECES, "a", "A", "ä", "漢", "😀", "ß", "/", "\\", "\n"]), max_size=5).map("".join)


async def test_account_id_reads_back_unchanged_and_is_unique(many: Many) -> None:
    through = parent(many, SALES)
    taken = set[str]()

    @settings(max_examples=4 * EXAMPLES)
    @given(IDS | st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
    def read_back(text: str) -> None:
        made = add(many, {**wish(through, SALES), "account": text})
        if made.status_code != 200:
            assert {"account"} == keys(made)
            return
        account = made.json()["account"]
        assert not text.strip() or account == text.strip()
        taken.add(account)

        answer = many.api.get(f"/v1/account/{quote(account, safe='')}")

        assert (200, account) == (answer.status_code, answer.json().get("account"))
        # A grant serves at most ten accounts of one mailbox.
        assert many.api.delete(f"/v1/account/{quote(account, safe='')}").json()["deleted"]

    read_back()
    assert len(taken) > 1


def test_id_that_no_route_can_name_is_refused(many: Many) -> None:
    ids = (".", "..", "a/b", "/", "a\\b", "a\nb", "\0")

    faults = {text: keys(add(many, {**wish("x", SUPPORT), "account": text})) for text in ids}

    assert {text: {"account"} for text in ids} == faults


def test_percent_sign_is_an_ordinary_character(many: Many) -> None:
    """`AAM%2Fk` and `AAM%252Fk` in a path both arrive as `AAM%2Fk`, and there is one account of that id."""
    through = parent(many, SALES)

    for text in ("AAM%2Fk", "100%", "%2e%2e", "a%252Fb", "%ff"):
        assert 200 == add(many, {**wish(through, SALES), "account": text}).status_code, text

        assert text == many.api.get(f"/v1/account/{quote(text, safe='')}").json()["account"]
        if text == "AAM%2Fk":
            assert text == many.api.get(f"/v1/account/{text}").json()["account"]
        # The examples above use the same ids, for another person.
        assert many.api.delete(f"/v1/account/{quote(text, safe='')}").json()["deleted"]


# Written as they go over the wire: the host decodes, and takes dot segments out, before Mailbind decides by the rest.
WAYS_OUT = (
    "{inside}/../{outside}",
    "{inside}/%2e%2e/{outside}",
    "{inside}/..%2f{outside}",
    "{inside}%2F..%2F{outside}",
    "{inside}/%252e%252e/{outside}",
    "./{outside}",
    "%2e/{outside}",
    "{inside}/..\\{outside}",
    "{inside}%5C..%5C{outside}",
    "{inside}//../../{outside}",
    "{inside}/../../account/{outside}/oauth-token",
    "/{outside}",
    "{inside};/../{outside}",
    "{inside}%23/../{outside}",
    "{inside}%3F/../{outside}",
)


def test_bound_caller_reaches_no_other_account_in_any_spelling(many: Many) -> None:
    inside, outside = (parent(many) for _ in range(2))
    asked = {"description": "x", "scopes": ["accounts:read", "oauth-token"], "account": inside}
    headers = {"Authorization": f"Bearer {many.api.post('/v1/token', json=asked).json()['token']}"}

    def told(path: str) -> tuple[int, str]:
        # Unlike httpx, http.client sends a path as it is.
        connection = http.client.HTTPConnection(many.api.base_url.netloc.decode(), timeout=30)
        connection.request("GET", f"/v1/account/{path.format(inside=inside, outside=outside)}", headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    assert 200 == told("{inside}")[0]
    answers = {path: told(path) for path in WAYS_OUT}
    assert {} == {path: one for path, one in answers.items() if one[0] not in {400, 403, 404} or outside in one[1]}
