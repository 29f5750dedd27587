"""`mailbind mail`: the real command against the running app."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from infra.local.visitor import Visitor
from tests.journey.cli import Cli, captured_command, problem, told  # noqa: F401 - a fixture
from tests.journey.conftest import Tenant, bind

type NewPerson = Callable[..., str]

SUPPORT = "support@contoso.example"


@pytest.fixture
def account(api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant) -> str:
    who = person()
    tenant.do("access", person=who, mailbox=SUPPORT, sendAs=True)
    return bind(api, visitor, who)


def test_operator_sends_finds_and_reads_a_message(cli: Cli, account: str, tmp_path: Path) -> None:
    subject = f"Trial of {account}"
    text = tmp_path / "text"
    text.write_text("It works.\n\x1b[31mred\x1b[0m\n")

    sent = cli("mail", "send", account, "--to", SUPPORT, "--subject", subject, "--text", str(text))
    found = cli("mail", "search", account, "--subject", subject)
    message, _, identity = found.stdout.partition("\n    ")
    shown = cli("mail", "show", account, identity.strip().splitlines()[0])

    assert (0, "") == (sent.returncode, sent.stderr)
    assert message.startswith("*")
    assert message.endswith(subject)
    assert f"subject  {subject}" in shown.stdout.replace("     ", "")
    assert "It works.\n?[31mred?[0m" in shown.stdout
    assert cli("mail", "search", account, "--subject", subject, "--unseen").stdout == found.stdout


def test_reply_is_in_the_thread(cli: Cli, account: str) -> None:
    subject = f"Question to {account}"
    cli("mail", "send", account, "--to", SUPPORT, "--subject", subject, stdin="Are you there?")
    question = told(cli("mail", "search", account, "--subject", subject, "--json"))["messages"][0]

    told(cli("mail", "send", account, "--reply", question["id"], "--json", stdin="Yes."))
    answers = told(cli("mail", "search", account, "--path", r"\Sent", "--subject", subject, "--json"))["messages"]

    assert {question["threadId"]} == {message["threadId"] for message in answers}
    assert f"RE: {subject}".casefold() in [message["subject"].casefold() for message in answers]


def test_list_has_as_many_as_asked_for(cli: Cli, account: str) -> None:
    whole = told(cli("mail", "list", account, "--limit", "150", "--json"))["messages"]
    three = told(cli("mail", "list", account, "--limit", "3", "--json"))["messages"]

    assert len(whole) > len(three) == 3
    assert [message["id"] for message in whole[:3]] == [message["id"] for message in three]
    assert 3 == cli("mail", "list", account, "--limit", "3").stdout.count("\n    ")


def test_one_key_sends_once(cli: Cli, account: str) -> None:
    subject = f"Once for {account}"
    arguments = ("mail", "send", account, "--to", SUPPORT, "--subject", subject, "--idempotency-key", account, "--json")

    first, second = told(cli(*arguments, stdin="Once.")), told(cli(*arguments, stdin="Once."))

    assert ["MISS", "HIT"] == [answer["idempotency"]["status"] for answer in (first, second)]
    assert 1 == len(told(cli("mail", "search", account, "--subject", subject, "--json"))["messages"])


def test_without_an_answer_the_key_is_printed(cli: Cli) -> None:
    nobody = cli("mail", "send", "shared", "--to", SUPPORT, stdin="Hello", MAILBIND_BASE_URL="http://127.0.0.1:9")

    assert 1 == nobody.returncode
    assert "To try again safely, add --idempotency-key " in nobody.stderr


def test_unknown_message_is_reported(cli: Cli, account: str) -> None:
    assert "NotFound" == problem(cli("mail", "show", account, "AAMkAGI", "--json"))["code"]
