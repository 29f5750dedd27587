"""Only the newest link of an account works, and an earlier one says so."""

from collections.abc import Callable

import httpx

from infra.local.visitor import Visitor
from tests.journey.conftest import ask, code_of, status


def test_newer_form_replaces_the_earlier_link(api: httpx.Client, visitor: Visitor, person: Callable[..., str]) -> None:
    earlier = ask(api)
    newer = ask(api, account=earlier["account"].upper())

    page = visitor.open(earlier["url"])

    assert (410, "link_replaced") == (page.status, code_of(page))
    assert not page.forms
    assert "Use the newest link" in page.text
    assert "link_replaced" == page.back["error"]
    assert ["replaced", "pending"] == [status(api, asked)["status"] for asked in (earlier, newer)]
    assert "new" == visitor.follow(newer["url"], person()).back["state"]
    assert "replaced" == status(api, earlier)["status"]
