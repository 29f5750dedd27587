"""Unmodified Graph clients of Microsoft's, with the code of docs/graph-sdk.md: the host and the token are ours."""

import sys
from collections.abc import Callable
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest

from infra.local.parts import ROOT
from tests.clients.blocks import blocks
from tests.clients.conftest import SUPPORT, MailCaller

NODE = ROOT / ".venv/bin/node"
NODE_MODULES = ROOT / "infra/local/node_modules"
SENT = {"Our prices", "Your order has left", "Sent after a while"}


def run_python(caller: MailCaller, _: Path) -> dict[str, Any]:
    return caller.run([sys.executable, "-m", "tests.clients.python_program"])


def run_javascript(caller: MailCaller, folder: Path) -> dict[str, Any]:
    """Node looks for packages beside the program."""
    (folder / "node_modules").symlink_to(NODE_MODULES)
    after = (ROOT / "tests/clients/after_page.mjs").read_text()
    (folder / "program.mjs").write_text("\n".join([*blocks("javascript"), after]))
    return caller.run([str(NODE), "program.mjs"], folder)


@pytest.mark.parametrize("run", [run_python, run_javascript], ids=["msgraph-sdk", "microsoft-graph-client"])
def test_the_page_works_as_it_stands(
    mail_caller: MailCaller, run: Callable[[MailCaller, Path], dict[str, Any]], tmp_path: Path
) -> None:
    before = mail_caller.subjects("inbox")

    results = run(mail_caller, tmp_path)

    assert before == results["subjects"], "in pages of four"
    assert 4 < len(before)
    assert results["found"]
    assert all("order 4711" in subject.lower() for subject in results["found"])
    at_once, later = results["changed"]
    assert ([], {before[0], "Mail that arrived since"}) == (at_once, set(later))
    assert "printer;99.90\n" == results["content"]
    assert before[0] == results["newest"] == message_from_string(results["mime"])["subject"]
    assert [200, 200] == results["statuses"]
    status, code, message = results["refusal"]
    assert (403, "not_confined") == (status, code)
    assert "/users/" in message
    assert_sent_once(mail_caller, results, before[0])
    assert_only_bound_mailbox(mail_caller)


def assert_sent_once(caller: MailCaller, results: dict[str, Any], replied_to: str) -> None:
    """Neither Mailbind nor the client repeats a send whose outcome is unknown; both wait while Graph throttles."""
    assert sorted([*SENT, f"RE: {replied_to}"]) == sorted(caller.subjects("sentitems"))
    assert [409, "outcome_unknown"] == results["unknown"]
    assert ["outage-reset"] == [event["failure"] for event in caller.events("failed")]


def assert_only_bound_mailbox(caller: MailCaller) -> None:
    paths = [event["path"] for event in caller.events("graph called")]

    assert len(paths) > 10
    assert [] == [path for path in paths if not path.startswith(f"/v1.0/users/{SUPPORT}/")]
