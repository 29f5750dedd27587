"""What Graph's error answers mean for a mailbox: the code decides, not the HTTP status."""

import base64
import json

import pytest

from shared.domain.failure import MailboxRefusal
from shared.domain.graph_answer import graph_refusal

CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}'


def body_of(code: object) -> dict[str, object]:
    return {"error": {"code": code, "message": "The requested user 'someone' is invalid."}}


def challenge_with(claims: bytes, error: str = "insufficient_claims") -> str:
    return f'Bearer realm="", error="{error}", claims="{base64.b64encode(claims).decode()}"'


@pytest.mark.parametrize(
    ("status", "code", "refusal"),
    [
        (404, "ErrorInvalidUser", MailboxRefusal.NOT_FOUND),
        (404, "ErrorNonExistentMailbox", MailboxRefusal.NOT_FOUND),
        (400, "ErrorNonExistentMailbox", MailboxRefusal.NOT_FOUND),
        (404, "ResourceNotFound", MailboxRefusal.NOT_FOUND),
        (404, "Request_ResourceNotFound", MailboxRefusal.NOT_FOUND),
        (404, "MailboxNotEnabledForRESTAPI", MailboxRefusal.NOT_IN_EXCHANGE_ONLINE),
        (401, "MailboxNotEnabledForRESTAPI", MailboxRefusal.NOT_IN_EXCHANGE_ONLINE),
        (404, "MailboxNotSupportedForRESTAPI", MailboxRefusal.NOT_IN_EXCHANGE_ONLINE),
        (403, "ErrorGroupIsUsedInNonGroupURI", MailboxRefusal.NOT_IN_EXCHANGE_ONLINE),
        (403, "ErrorAccessDenied", MailboxRefusal.NO_ACCESS),
        (404, "ErrorItemNotFound", MailboxRefusal.NO_ACCESS),
        (404, "ErrorFolderNotFound", MailboxRefusal.NO_ACCESS),
        (404, "SomethingNew", MailboxRefusal.NO_ACCESS),
        (403, "Authorization_RequestDenied", MailboxRefusal.MISSING_SCOPE),
        (401, "InvalidAuthenticationToken", MailboxRefusal.TOKEN_REFUSED),
        (401, "ReauthenticationRequired", MailboxRefusal.TOKEN_REFUSED),
    ],
)
def test_code_says_why_a_mailbox_is_refused(status: int, code: str, refusal: MailboxRefusal) -> None:
    refused = graph_refusal(status, body_of(code))

    assert refused is not None
    assert (refusal, code, None) == refused


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (429, "ApplicationThrottled"),
        (503, "ErrorInvalidUser"),
        (408, "ErrorAccessDenied"),
        (403, "ErrorMailboxStoreUnavailable"),
        (400, "ErrorMailboxMoveInProgress"),
        (404, "MailboxInfoStale"),
        (403, None),
        (404, {"no": "text"}),
    ],
)
def test_outage_refuses_nobody(status: int, code: object) -> None:
    assert graph_refusal(status, body_of(code)) is None


@pytest.mark.parametrize("body", [None, [], {}, {"error": "text"}, {"error": {}}])
def test_401_without_a_code_is_a_refusal(body: object) -> None:
    assert (MailboxRefusal.TOKEN_REFUSED, "unreadable", None) == graph_refusal(401, body)


def test_code_is_logged_only_if_it_can_be_one() -> None:
    refused = graph_refusal(404, body_of("alice@contoso.example"))

    assert refused is not None
    assert "unreadable" == refused.graph_code


def test_claims_challenge_is_a_refusal_of_its_own() -> None:
    challenge = challenge_with(CLAIMS.encode())

    refused = graph_refusal(401, body_of("InvalidAuthenticationToken"), challenge)

    assert (MailboxRefusal.CLAIMS_CHALLENGE, "InvalidAuthenticationToken", CLAIMS) == refused


@pytest.mark.parametrize(
    "challenge",
    [
        "",
        "Bearer",
        challenge_with(CLAIMS.encode(), error="invalid_token"),
        challenge_with(b"no JSON"),
        challenge_with(b"\xff"),
        challenge_with(json.dumps({"access_token": {"xms_cc": {"values": ["cp1"]}}}).encode()),
        'Bearer error="insufficient_claims", claims="A"',
    ],
)
def test_unreadable_challenge_has_no_claims(challenge: str) -> None:
    refused = graph_refusal(401, body_of("InvalidAuthenticationToken"), challenge)

    assert (MailboxRefusal.TOKEN_REFUSED, "InvalidAuthenticationToken", None) == refused
