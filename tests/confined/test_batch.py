"""Batches: each part is confined, called and answered by itself."""

import base64
from typing import Any

import httpx

from tests.confined.conftest import SALES, SUPPORT, TwoMailboxes
from tests.confined.test_calls import refused, to


def part(number: int, url: str, method: str = "GET", **more: Any) -> dict[str, Any]:
    return {"id": str(number), "method": method, "url": url, **more}


def answers_of(caller: httpx.Client, *parts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    answer = caller.post("$batch", json={"requests": parts})
    assert 200 == answer.status_code, answer.text
    return {each["id"]: each for each in answer.json()["responses"]}


def test_every_part_has_its_own_answer(mailboxes: TwoMailboxes, caller: httpx.Client) -> None:
    json = {"Content-Type": "application/json"}
    answers = answers_of(
        caller,
        part(1, f"/users/{SUPPORT}/messages?$top=1&$select=subject"),
        part(2, f"/users/{SALES}/messages"),
        part(3, "/me/messages"),
        part(4, f"users/{SUPPORT.replace('@', '%40')}/mailFolders/inbox"),
        part(5, f"/users/{SUPPORT}/messages", "POST", body={"subject": "In a batch"}, headers=json),
        part(6, f"/users/{SUPPORT}/messages", "POST", body={"From": {}}, headers=json),
        part(7, f"/users/{SUPPORT}/messages", dependsOn=["2"]),
        part(8, f"/users/{SUPPORT}/messages/$count", dependsOn=["5"]),
    )
    statuses = {name: each["status"] for name, each in answers.items()}
    assert {"1": 200, "2": 404, "3": 403, "4": 200, "5": 201, "6": 403, "7": 424, "8": 200} == statuses
    assert answers["1"]["body"]["@odata.nextLink"].startswith(f"{mailboxes.environment.base_url}/v1.0/users/{SUPPORT}/")
    assert "not_confined" == answers["3"]["body"]["error"]["code"]
    assert base64.b64decode(answers["8"]["body"]).isdigit()


def test_parts_are_sent_in_the_order_of_their_dependencies(mailboxes: TwoMailboxes, caller: httpx.Client) -> None:
    message = {"message": {"subject": "x", "toRecipients": to("batch@fabrikam.example")}}
    json = {"Content-Type": "application/json"}
    sends = [part(each, f"/users/{SUPPORT}/sendMail", "POST", body=message, headers=json) for each in range(20)]
    for number in range(1, 20):
        sends[number]["dependsOn"] = [str(number - 1)]
    assert {202} == {each["status"] for each in answers_of(caller, *sends).values()}
    sent = [mail for mail in mailboxes.tenant.events("mail sent") if "batch@fabrikam.example" in str(mail["to"])]
    assert 20 == len(sent)


def test_twenty_parts_at_once_do_not_exceed_what_exchange_allows(caller: httpx.Client) -> None:
    parts = [part(number, f"/users/{SUPPORT}/messages?$top=1") for number in range(20)]
    assert {200} == {each["status"] for each in answers_of(caller, *parts).values()}


def test_a_batch_that_is_not_well_formed_is_refused_whole(mailboxes: TwoMailboxes, caller: httpx.Client) -> None:
    before = len(mailboxes.tenant.events("graph called"))
    good = part(1, f"/users/{SUPPORT}/messages")
    for requests in ([], [good] * 2, [good, part(2, "https://graph.microsoft.com/v1.0/me")], "all"):
        assert (400, "BadRequest") == refused(caller.post("$batch", json={"requests": requests}))
    repeated = b'{"requests": [], "Requests": [{"id": "1", "method": "GET", "url": "/me"}]}'
    assert (400, "BadRequest") == refused(
        caller.post("$batch", content=repeated, headers={"Content-Type": "application/json"})
    )
    assert before == len(mailboxes.tenant.events("graph called"))
