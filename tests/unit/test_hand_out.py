"""Which accounts hand out tokens, for every way in which they are bound."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest

from shared.domain.account import Account
from shared.domain.hand_out import hands_out, link_hands_out, switch_when_bound
from shared.domain.invited_mailbox import InvitedMailbox
from shared.domain.registration import PendingRegistration

NOW = datetime(2026, 11, 29, 10, 0, tzinfo=UTC)
ON = Account(
    id="shared",
    name="Shared",
    email="support@contoso.example",
    shared=True,
    principal_id="t.o",
    sign_in_name="alice@contoso.example",
    app="app",
    registration="r",
    created=NOW,
    bound=NOW,
)
OFF = replace(ON, hands_out=False)
ANY, YES_OR_NO = (None, ON, OFF), (True, False)


@pytest.mark.parametrize("setting", YES_OR_NO)
@pytest.mark.parametrize("account", [ON, OFF])
def test_setting_and_switch_must_both_allow_it(account: Account, *, setting: bool) -> None:
    assert (account is ON and setting) is hands_out(account, setting=setting)


def test_binding_switches_on_only_what_nothing_has_switched_off() -> None:
    ways = product(ANY, ANY, (None, True, False), YES_OR_NO, YES_OR_NO)
    on = {
        (before, source, requested, is_further)
        for before, source, requested, is_further, setting in ways
        if switch_when_bound(before, source, requested=requested, is_further=is_further, setting=setting) and setting
    }

    # By a sign-in: whatever is requested, unless it was off. By another account's grant: as that, or an administrator.
    by_sign_in = {
        (before, source, requested, False) for before, source, requested in product((None, ON), ANY, (None, True))
    }
    by_grant = {(before, source, True, True) for before, source in product((None, ON), ANY)}
    assert by_sign_in | by_grant | {(before, ON, None, True) for before in (None, ON)} == on


def test_nothing_is_bound_switched_on_while_the_setting_is_off() -> None:
    for before, source, requested, is_further in product(ANY, ANY, (None, True, False), YES_OR_NO):
        assert not switch_when_bound(before, source, requested=requested, is_further=is_further, setting=False)


@pytest.mark.parametrize(
    ("existing", "mailboxes", "expected"),
    [
        ((), 1, True),
        ((ON,), 1, True),
        ((OFF,), 1, False),
        ((OFF,), 2, True),
        ((OFF, ON), 2, True),
        ((OFF, OFF), 2, False),
    ],
)
def test_link_promises_no_tokens_only_if_all_accounts_are_off(
    existing: Sequence[Account], mailboxes: int, *, expected: bool
) -> None:
    invited = tuple(InvitedMailbox(f"account-{number}") for number in range(mailboxes))
    link = PendingRegistration("id", invited, "https://myapp.example", "app", "administrator", NOW, NOW)

    assert expected is link_hands_out(link, existing, setting=True)
    assert not link_hands_out(replace(link, hand_out=False), existing, setting=True)
    assert not link_hands_out(link, existing, setting=False)
