"""Every example of the mail API on /docs succeeds as it stands, with the ids of mail that is there."""

import httpx

from shared.api import mail
from tests.examples.conftest import LocalRun
from tests.examples.test_description import Operation, operations, shown_curls

MAILBOX = "/v1/account/shared"
DRAFT = {"subject": "An example", "to": [{"address": "customer@fabrikam.example"}], "text": "Hello"}
ATTACHED = {"filename": "order.txt", "content": "T3JkZXIgNDcxMQ=="}


def test_examples_of_the_mail_api_succeed(local_run: LocalRun) -> None:
    local_run.bind()
    curls = dict(shown_curls(local_run))
    described = operations(mail.resource.tag)

    for operation in described:
        curl = curls[operation.method, operation.example_path].replace(
            operation.example_path, operation.filled_in(ids_for(local_run, operation)), 1
        )
        output = local_run.shell(curl)
        success = int(next(iter(operation.described["responses"])))
        assert [success] == [status for status, _ in output.statuses], (curl, output)

    assert len(mail.resource.operations) == len(described) > 10


def ids_for(run: LocalRun, operation: Operation) -> dict[str, str]:
    """The ids for the path: those of a draft that was just made, and of its attachment."""
    ids = {each["name"]: each["example"] for each in operation.parameters("path")} | {"account": "shared"}
    with run.client() as api:
        draft = _draft(api)
    found = {"message": draft["id"], "text": draft["id"], "attachment": draft["attachments"][0]["id"]}
    return ids | {name: found[name] for name in ids.keys() & found.keys()}


def _draft(api: httpx.Client) -> dict[str, str]:
    uploaded = api.post(f"{MAILBOX}/message", json={**DRAFT, "attachments": [ATTACHED]}).raise_for_status().json()
    return dict(api.get(f"{MAILBOX}/message/{uploaded['id']}").raise_for_status().json())
