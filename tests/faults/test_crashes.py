"""The next attempt repairs what a crash between two writes left behind."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import httpx

from infra.local.visitor import Visitor
from shared.domain.invited_mailbox import InvitedMailbox
from shared.domain.registration import RegistrationStatus
from shared.ports import App, Claim, DirectoryEntry
from tests.conftest import MovedClock, storage_of
from tests.journey.conftest import ask, bind, code_of, principal_id, status, tick

type NewPerson = Callable[..., str]


async def claim(instance: App, asked: dict[str, str], *, principal: str, until: timedelta) -> None:
    """What a process leaves behind that dies between its claim and its transaction."""
    left = Claim(principal, "AAABiCtT7XUAAAAF", asked["registration"], instance.clock() + until)
    await instance.stores.directory.insert(DirectoryEntry(asked["account"], claim=left))


async def test_expired_claim_is_taken_over(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App
) -> None:
    asked = ask(api)
    await claim(instance, asked, principal="somebody.else", until=timedelta(seconds=-1))

    assert "new" == visitor.follow(asked["url"], person()).back["state"]
    assert "connected" == api.get(f"/v1/account/{asked['account']}").json()["state"]


async def test_valid_claim_is_respected_until_it_expires(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App
) -> None:
    asked, who = ask(api), person()
    other = {**ask(api), "account": asked["account"]}
    await claim(instance, other, principal="somebody.else", until=timedelta(minutes=2))

    page = visitor.follow(asked["url"], who)

    assert (409, "account_busy") == (page.status, code_of(page))
    entry = await instance.stores.directory.get(asked["account"])
    assert entry is not None
    assert entry.value.claim is not None
    run_out = Claim("somebody.else", "app", "r", instance.clock() - timedelta(seconds=1))
    await instance.stores.directory.replace(entry, DirectoryEntry(asked["account"], claim=run_out))
    assert "new" == visitor.follow(asked["url"], who).back["state"]


async def test_retry_reuses_its_own_claim(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App
) -> None:
    who = person()
    first = bind(api, visitor, who)
    principal = await principal_id(instance, first)
    api.delete(f"/v1/account/{first}")
    asked = ask(api)
    await claim(instance, asked, principal=principal, until=timedelta(minutes=2))

    assert "new" == visitor.follow(asked["url"], who).back["state"]


async def test_account_works_after_a_crash_and_still_counts_as_new(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App
) -> None:
    who, asked = person(), ask(api)
    visitor.follow(asked["url"], who)
    principal = await principal_id(instance, asked["account"])
    entry = await instance.stores.directory.get(asked["account"])
    link = await instance.stores.registrations.get(asked["registration"])
    assert entry
    assert link
    unconfirmed = Claim(principal, "AAABiCtT7XUAAAAF", asked["registration"], instance.clock())
    await instance.stores.directory.replace(entry, DirectoryEntry(asked["account"], claim=unconfirmed))
    untold = tuple(InvitedMailbox(mailbox.account, mailbox.email) for mailbox in link.value.mailboxes)
    reopened = replace(link.value, stage=RegistrationStatus.OPENED, completed=None, mailboxes=untold)
    await instance.stores.registrations.replace(link, reopened)

    assert 200 == api.get(f"/v1/account/{asked['account']}/oauth-token").status_code
    assert "new" == visitor.follow(asked["url"], who).back["state"]
    assert "completed" == status(api, asked)["status"]


async def test_entry_without_an_account_leaves_the_id_free(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App
) -> None:
    asked = ask(api)
    await instance.stores.directory.insert(DirectoryEntry(asked["account"], "gone.person", "AAABiCtT7XUAAAAF"))

    assert 404 == api.get(f"/v1/account/{asked['account']}").status_code
    assert "new" == visitor.follow(asked["url"], person()).back["state"]


async def test_account_bound_before_a_crash_is_not_reported_as_expired(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App, clock: MovedClock
) -> None:
    asked = ask(api)
    visitor.follow(asked["url"], person())
    link = await instance.stores.registrations.get(asked["registration"])
    assert link
    untold = tuple(InvitedMailbox(mailbox.account, mailbox.email) for mailbox in link.value.mailboxes)
    reopened = replace(link.value, stage=RegistrationStatus.OPENED, completed=None, mailboxes=untold)
    await instance.stores.registrations.replace(link, reopened)

    clock.forward(hours=25)
    await tick(instance)

    rows = [row async for row in storage_of(instance).get_table_client("Registrations").list_entities()]
    told = [row["name"] for row in rows if row["RowKey"].startswith("event~") and row["account"] == asked["account"]]
    assert [] == told
    assert "completed" == status(api, asked)["status"]
