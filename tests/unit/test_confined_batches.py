"""Batches are taken apart strictly: what cannot be read in one way only is refused before anything is sent."""

from typing import Any

import pytest

from shared.domain.confined.batches import parse_batch
from shared.domain.confined.refused import BadMailRequest

HERE = "https://mailbind.example"


def part(**changes: Any) -> dict[str, Any]:
    return {"id": "1", "method": "GET", "url": "/users/support@contoso.example/messages", **changes}


@pytest.mark.parametrize(
    ("url", "path", "query"),
    [
        ("/users/a@b.example/messages?$top=1", "users/a@b.example/messages", {"$top": "1"}),
        ("users/a%40b.example/messages", "users/a@b.example/messages", {}),
        ('/users/a@b.example/messages?$search="x y"', "users/a@b.example/messages", {"$search": '"x y"'}),
        ("/users/a%252Fb/messages", "users/a%2Fb/messages", {}),
        (f"{HERE}/v1.0/users/a%40b.example/messages?$top=1", "users/a@b.example/messages", {"$top": "1"}),
    ],
)
def test_the_url_of_a_part_is_decoded_once(url: str, path: str, query: dict[str, str]) -> None:
    (parsed,) = parse_batch({"requests": [part(url=url)]}, HERE)
    assert (path, query) == (parsed.request.path, parsed.request.query)


@pytest.mark.parametrize(
    "requests",
    [
        None,
        [],
        {},
        [part(id=str(number)) for number in range(21)],
        [part(), part()],
        [part(id="")],
        [part(id=1)],
        [part(id="x" * 300)],
        [part(method=None)],
        [part(url="https://graph.microsoft.com/v1.0/me")],
        [part(url=f"{HERE}.evil.example/v1.0/users/x/messages")],
        [part(url=f"{HERE}@evil.example/v1.0/users/x/messages")],
        [part(url=f"{HERE}/beta/users/x/messages")],
        [part(url=f"{HERE}/v1.0/https://graph.microsoft.com/v1.0/me")],
        [part(url=f"{HERE}/v1.0///evil.example/users/x/messages")],
        [part(url="//evil.example/users/x/messages")],
        [part(url="/users/x/messages#me")],
        [part(url="/users/x/messages?$top=1&$TOP=2")],
        [part(url="/users/%ff/messages")],
        [part(url="/users/x/messages?$search=%ff")],
        [part(url="/users/\ud800/messages")],
        [part(url="/users/x/messages?$search=\ud800")],
        [part(url="//[")],
        [part(url="/users/x/messages?" + "&".join(f"a{number}" for number in range(10_000)))],
        [part(body=float("inf"))],
        [part(headers={"Prefer": 1})],
        [part(headers=["Prefer"])],
        [part(dependsOn=["1"])],
        [part(id="1", dependsOn=["2"]), part(id="2")],
        [part(dependsOn="1")],
        [part(body="no base64!", headers={"Content-Type": "text/plain"})],
        ["part"],
    ],
)
def test_a_batch_that_is_not_well_formed_is_refused_whole(requests: object) -> None:
    with pytest.raises(BadMailRequest):
        parse_batch({"requests": requests}, HERE)


def test_bodies_come_as_they_would_alone() -> None:
    (first, second) = parse_batch(
        {
            "Requests": [
                part(Body={"a": 1}, method="post"),
                part(id="2", dependsOn=["1"], body="aGk=", headers={"Content-Type": "text/plain"}),
            ]
        },
        HERE,
    )
    assert (first.request.method, first.request.body) == ("POST", b'{"a":1}')
    assert (second.request.body, second.depends_on) == (b"hi", ("1",))


def test_dependencies_in_the_form_of_msgraph_core() -> None:
    _, second = parse_batch({"requests": [part(depends_on=[]), part(id="2", depends_on=["1"])]}, HERE)

    assert ("1",) == second.depends_on
