"""Invariant 11: no answer to a caller with mail scopes has a string that Graph accepts as a bearer token."""

import re

import httpx
import pytest

from shared.domain.confined.operations import OPERATIONS, MailOperation
from tests.confined.conftest import SUPPORT, TwoMailboxes

JWT = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.")  # RFC 7519 section 3: base64url of `{"`
# A part of a token that cannot stand in an answer by chance.
SIGNATURE_CHARACTERS = 24
IDS = {"folder": "inbox", "child": "inbox", "attachment": "AAMkAGno="}


@pytest.fixture(scope="module")
def signature(mailboxes: TwoMailboxes) -> str:
    """A part of the token that Mailbind itself uses for the mailbox."""
    token: str = mailboxes.api.get("/v1/account/support/oauth-token").raise_for_status().json()["accessToken"]
    return token.rpartition(".")[2][:SIGNATURE_CHARACTERS]


def seen(answer: httpx.Response) -> str:
    """All that a caller sees of an answer."""
    return f"{answer.headers} {answer.text}"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_no_row_answers_with_a_token(caller: httpx.Client, signature: str, operation: MailOperation) -> None:
    (message,) = caller.get(f"users/{SUPPORT}/messages?$top=1&$select=id").json()["value"]
    path = operation.shape.format(**IDS, message=message["id"])
    wrong = {"unknown": True} if operation.method in {"POST", "PATCH"} else None

    answer = caller.request(operation.method, f"users/{SUPPORT}/{path}", json=wrong)
    batch = {"id": "1", "method": operation.method, "url": f"/users/{SUPPORT}/{path}"}
    in_batch = caller.post("$batch", json={"requests": [batch]}) if operation.method == "GET" else answer

    assert signature not in seen(answer) + seen(in_batch)
    assert not JWT.search(seen(answer) + seen(in_batch))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/account/support/oauth-token"),
        ("GET", "/v1/account/support/oauth-token?sasl=true"),
        ("POST", "/v1/account/support/oauth-token"),
        ("POST", "/v1/token"),
        ("GET", "/v1/tokens"),
        ("POST", "/v1/account"),
        ("POST", "/v1/authentication/form"),
        ("PUT", "/v1/account/support"),
        ("POST", "/v1/account/support/reauthorize"),
        ("GET", "/v1/oauth2"),
        ("POST", "/v1/webhooks"),
        ("GET", "/v1/settings"),
    ],
)
def test_other_routes_need_other_scopes(
    mailboxes: TwoMailboxes, caller: httpx.Client, signature: str, method: str, path: str
) -> None:
    url = f"{mailboxes.environment.base_url}{path}"
    answer = caller.request(method, url, json={} if method != "GET" else None)
    assert 403 == answer.status_code
    assert signature not in seen(answer)
