"""The SASL responses of a hand-out: Microsoft's servers, and who logs in."""

import base64
from datetime import UTC, datetime

from shared.api.access_tokens import sasl_responses
from shared.domain.clouds import CLOUDS, MailServer, Resource
from shared.domain.secret import Secret
from shared.usecases.tokens.hand_out import HandedOut

ALICE, SUPPORT = "alice@contoso.example", "support@contoso.example"
SCOPES = ("IMAP.AccessAsUser.All", "POP.AccessAsUser.All", "https://outlook.office.com/SMTP.Send")
GLOBAL = CLOUDS["global"]


def handed_out(*scopes: str) -> HandedOut:
    expires = datetime.max.replace(tzinfo=UTC)
    return HandedOut("a1", Resource.OUTLOOK, ALICE, SUPPORT, Secret("eyJ"), scopes, expires, cached=False, app="app")


def test_smtp_logs_in_as_the_person() -> None:
    responses = sasl_responses(handed_out(*SCOPES), GLOBAL)

    assert {
        "imap": ("outlook.office365.com", 993, "tls", SUPPORT),
        "pop": ("outlook.office365.com", 995, "tls", SUPPORT),
        "smtp": ("smtp.office365.com", 587, "starttls", ALICE),
    } == {name: (found.host, found.port, found.security, found.user) for name, found in responses.items()}
    smtp = base64.b64decode(responses["smtp"].xoauth2.reveal())
    assert f"user={ALICE}\x01auth=Bearer eyJ\x01\x01".encode() == smtp


def test_protocol_without_a_scope_or_a_server_is_left_out() -> None:
    local = GLOBAL._replace(imap_server=MailServer("127.0.0.1", 1993))

    assert {"smtp"} == set(sasl_responses(handed_out(SCOPES[2]), GLOBAL))
    assert {"imap"} == set(sasl_responses(handed_out(*SCOPES), local))
    assert {} == sasl_responses(handed_out(SCOPES[2]), local)
