"""Every example of confined access on /docs succeeds as it stands, with the ids of mail and folders that are there."""

from typing import Any

import httpx

from shared.domain.confined.operations import OPERATIONS
from shared.reference.confined import TAG
from shared.reference.confined_refusals import MAILBOX
from tests.examples.conftest import LocalRun
from tests.examples.test_description import Operation, operations, shown_curls

DRAFT = {
    "subject": "An example",
    "toRecipients": [{"emailAddress": {"address": "customer@fabrikam.example"}}],
    "attachments": [
        {"@odata.type": "#microsoft.graph.fileAttachment", "name": "order.txt", "contentBytes": "T3JkZXIgNDcxMQ=="}
    ],
}
# What is done to a message that has come in; the rest is done to a draft.
OF_RECEIVED = ("createReply", "createReplyAll", "createForward", "reply", "replyAll", "forward")


def test_examples_of_confined_access_succeed(local_run: LocalRun) -> None:
    local_run.bind()
    curls = dict(shown_curls(local_run))
    described = operations(TAG)

    for operation in described:
        curl = curls[operation.method, operation.example_path].replace(
            operation.example_path, operation.filled_in(ids_for(local_run, operation)), 1
        )
        output = local_run.shell(curl)
        success = int(next(iter(operation.described["responses"])))
        assert [success] == [status for status, _ in output.statuses], (curl, output)

    assert len(OPERATIONS) + 1 == len(described)


def ids_for(run: LocalRun, operation: Operation) -> dict[str, str]:
    """The ids for the path: those of things that this operation may be done to."""
    mailbox = f"/v1.0/users/{MAILBOX}"
    needed = {each["name"] for each in operation.parameters("path")}
    ids = {"mailbox": MAILBOX}
    with run.client() as api:
        if "message" in needed:
            received = api.get(f"{mailbox}/mailFolders/inbox/messages", params={"$top": "1"})
            is_received = operation.path.rpartition("/")[2] in OF_RECEIVED
            draft = made(api, f"{mailbox}/messages", DRAFT)
            ids["message"] = received.json()["value"][0]["id"] if is_received else draft["id"]
        if "attachment" in needed:
            listed = api.get(f"{mailbox}/messages/{ids['message']}/attachments")
            ids["attachment"] = listed.json()["value"][0]["id"]
        if "folder" in needed:
            above = made(api, f"{mailbox}/mailFolders", {"displayName": operation.described["operationId"]})
            for name in ("folder", "child"):
                body = {"displayName": f"{name} of {operation.described['operationId']}"}
                above = made(api, f"{mailbox}/mailFolders/{above['id']}/childFolders", body)
                ids[name] = above["id"]
    return ids


def made(api: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = api.post(path, json=body)
    assert 201 == answer.status_code, answer.text
    created: dict[str, Any] = answer.json()
    return created
