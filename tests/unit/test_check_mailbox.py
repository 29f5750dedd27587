"""What counts as another mailbox when an account is bound again."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.domain.invited_mailbox import BindRequest
from shared.usecases.sign_in.proof import AccessRefused, Proof, check_mailbox
from tests.contract import records

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
SUPPORT, ALIAS = "support@contoso.example", "help@contoso.example"
REQUEST = BindRequest("r", "a", SUPPORT, None, delegated=True)


@pytest.mark.parametrize(
    ("known", "opened", "address", "code"),
    [
        ("one", "one", SUPPORT, None),
        ("one", "one", ALIAS, None),
        ("one", "two", SUPPORT, "mailbox_replaced"),
        ("one", "two", ALIAS, "other_mailbox"),
        (None, "one", "Support@contoso.example", None),
        (None, "one", ALIAS, "other_mailbox"),
        ("one", None, SUPPORT, None),
        ("one", None, ALIAS, "other_mailbox"),
        (None, None, SUPPORT, None),
        (None, None, ALIAS, "other_mailbox"),
    ],
)
def test_the_inbox_id_decides_before_the_address(
    known: str | None, opened: str | None, address: str, code: str | None
) -> None:
    holder = replace(records.account(records.principal(), NOW), inbox_id=known)
    proof = Proof(address, "Support", shared=True, inbox_id=opened)

    check_mailbox(replace(REQUEST, change_mailbox=True), proof, holder)
    check_mailbox(REQUEST, proof, None)
    if code is None:
        check_mailbox(REQUEST, proof, holder)
        return
    with pytest.raises(AccessRefused) as refused:
        check_mailbox(REQUEST, proof, holder)
    assert code == refused.value.code


def test_indistinguishable_mailboxes_change_nothing() -> None:
    """A sign-in by IMAP, which knows no inbox id, does not clear a replaced mailbox."""
    holder = replace(records.account(records.principal(), NOW), inbox_id="one", replaced_since=NOW)

    with pytest.raises(AccessRefused, match="mailbox_replaced"):
        check_mailbox(REQUEST, Proof(SUPPORT, "Support", shared=True), holder)
