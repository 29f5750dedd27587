"""Ids and shown URLs of webhooks."""

import pytest

from shared.domain.caller import Binding
from shared.domain.secret import Secret
from shared.domain.webhook import masked_url, webhook_id

URL = "https://chat.example/hooks"


def test_no_two_filters_or_callers_share_an_id() -> None:
    filters = [
        None,
        Binding(("a",)),
        Binding((), ("a",)),
        Binding(("^",), ("a",)),
        Binding((), ("^", "a")),
        Binding(("^", "a")),
    ]
    urls, callers = (URL, f"{URL}\n="), (None, "a", "b")
    ids = {webhook_id(Secret(url), accounts, by) for url in urls for accounts in filters for by in callers}

    assert 6 * len(filters) == len(ids)


@pytest.mark.parametrize(
    ("shown", "url"),
    [
        ("", ""),
        ("https://chat.example", "https://chat.example"),
        ("https://chat.example", "https://user:password@chat.example"),
        ("https://chat.example:8443/******", "https://chat.example:8443/hooks/T0/B0/key"),
        ("https://chat.example/******", "https://chat.example/?sig=key"),
    ],
)
def test_only_the_origin_of_a_url_is_shown(shown: str, url: str) -> None:
    assert shown == masked_url(Secret(url))
