"""The directory, the registrations and the agenda, on Azurite."""

import asyncio
import secrets
from dataclasses import replace
from datetime import timedelta

import pytest
from azure.data.tables import UpdateMode

from shared.domain.errors import StaleWrite
from shared.domain.formats import table_key
from shared.domain.invited_mailbox import InvitedMailbox, MailboxState
from shared.domain.registration import NewestLink, SignInAttempt
from shared.domain.secret import Secret
from shared.domain.work import Work, WorkKind
from shared.ports import App, Claim, DirectoryEntry
from tests.conftest import storage_of
from tests.contract.records import registration


async def test_one_of_many_claims_wins(services: App) -> None:
    name = secrets.token_hex(8)
    claims = [Claim(f"p{number}", "app", "r", services.clock()) for number in range(8)]

    results = await asyncio.gather(
        *(services.stores.directory.insert(DirectoryEntry(name, claim=claim)) for claim in claims),
        return_exceptions=True,
    )

    assert 7 == sum(isinstance(result, StaleWrite) for result in results)
    entry = await services.stores.directory.get(name.upper())
    assert entry is not None
    assert entry.value.claim in claims


async def test_directory_entry_is_replaced_only_as_it_was_read(services: App) -> None:
    name = secrets.token_hex(8)
    first = await services.stores.directory.insert(DirectoryEntry(name, "p", "app"))
    second = await services.stores.directory.replace(first, DirectoryEntry(name, "q", "app"))

    with pytest.raises(StaleWrite):
        await services.stores.directory.replace(first, DirectoryEntry(name, "r", "app"))
    with pytest.raises(StaleWrite):
        await services.stores.directory.remove(first)

    await services.stores.directory.remove(second)
    assert None is await services.stores.directory.get(name)


async def test_put_writes_over_nothing_but_what_was_read(services: App) -> None:
    name, rows = secrets.token_hex(8), services.stores.directory
    first = await rows.put(None, DirectoryEntry(name, "p", "app"))
    second = await rows.put(first, DirectoryEntry(name, "q", "app"))

    for read in (None, first):
        with pytest.raises(StaleWrite):
            await rows.put(read, DirectoryEntry(name, "r", "app"))

    assert second == await rows.get(name)


async def test_registration_comes_back_as_it_was_written(services: App) -> None:
    asked = registration(services.clock())
    await services.stores.registrations.insert(asked)

    stored = await services.stores.registrations.get(asked.id)

    assert stored is not None
    assert asked == stored.value


async def test_mailbox_is_read_as_its_whole_registration_shows_it(services: App) -> None:
    names = [secrets.token_hex(8) for _ in range(3)]
    mailboxes = tuple(InvitedMailbox(name, f"{name}@contoso.example") for name in names)
    asked = replace(registration(services.clock()), mailboxes=mailboxes)
    await services.stores.registrations.insert(asked)
    await services.stores.registrations.make_newest(NewestLink(names[1], asked.id))
    await services.stores.registrations.make_newest(NewestLink(names[2], "a-newer-one"))

    stored = await services.stores.registrations.get(asked.id)
    one_by_one = {name: await services.stores.registrations.for_account(asked.id, name) for name in names}

    assert stored is not None
    assert list(stored.value.mailboxes) == [one and one.value.mailbox_for(name) for name, one in one_by_one.items()]
    assert {stored.version} == {one and one.version for one in one_by_one.values()}
    assert ["pending", "pending", "replaced"] == [one.state for one in stored.value.mailboxes]
    assert None is await services.stores.registrations.for_account("nothing", names[0])


@pytest.mark.parametrize(
    ("stage", "state", "more"),
    [
        ("pending", "pending", {}),
        ("opened", "pending", {}),
        ("failed", "refused", {"failure": "no_mailbox_access"}),
        ("waitingForAccess", "waitingForAccess", {"failure": "graph_unavailable", "principal_id": "t.o"}),
        ("completed", "existing", {"outcome": "existing", "principal_id": "t.o"}),
        ("replaced", "replaced", {}),
    ],
)
async def test_registration_of_an_earlier_version_has_one_mailbox(
    services: App, stage: str, state: str, more: dict[str, str]
) -> None:
    asked = registration(services.clock())
    await services.stores.registrations.insert(asked)
    table = storage_of(services).get_table_client("Registrations")
    row = dict(await table.get_entity(table_key(asked.id), ""))
    del row["mailboxes"]
    before = {**row, "account": "shared", "email": "support@contoso.example", "name": "Support", "stage": stage, **more}
    await table.update_entity(before, mode=UpdateMode.REPLACE)

    stored = await services.stores.registrations.get(asked.id)

    assert stored is not None
    assert stage == stored.value.stage
    one = InvitedMailbox("shared", "support@contoso.example", "Support", MailboxState(state))
    told = replace(one, principal_id=more.get("principal_id"), failure=more.get("failure"))
    assert (told,) == stored.value.mailboxes
    again = await services.stores.registrations.replace(stored, stored.value)
    assert again.value == stored.value


async def test_attempt_is_used_once_and_then_keeps_no_secret(services: App) -> None:
    asked = registration(services.clock())
    attempt = SignInAttempt(secrets.token_hex(32), asked.id, "browser", services.clock(), Secret("the-verifier"))
    await services.stores.registrations.add_attempt(attempt)
    stored = await services.stores.registrations.attempt(asked.id, attempt.id)
    assert stored is not None
    assert attempt == stored.value

    use = services.stores.registrations.use_attempt
    uses = await asyncio.gather(*(use(stored, services.clock()) for _ in range(4)))

    assert 1 == sum(used is not None for used in uses)
    used = await services.stores.registrations.attempt(asked.id, attempt.id)
    assert used is not None
    assert used.value.used
    assert Secret("") == used.value.flow


async def test_forgetting_a_registration_takes_its_attempts_along(services: App) -> None:
    asked = registration(services.clock())
    await services.stores.registrations.insert(asked)
    attempt = SignInAttempt(secrets.token_hex(32), asked.id, "browser", services.clock(), Secret("x"))
    await services.stores.registrations.add_attempt(attempt)

    await services.stores.registrations.forget(asked.id)
    await services.stores.registrations.forget(asked.id)

    assert None is await services.stores.registrations.get(asked.id)
    assert None is await services.stores.registrations.attempt(asked.id, attempt.id)


async def test_agenda_returns_due_rows_oldest_first(services: App) -> None:
    owner, now = secrets.token_hex(16), services.clock()
    works = [Work(WorkKind.REFRESH, now + timedelta(seconds=seconds), owner, "app") for seconds in (5, -60, -5, 60, -1)]
    for work in works:
        await services.stores.agenda.add(work)
        await services.stores.agenda.add(work)

    due = [
        work for shard in services.stores.agenda.shards for work in await services.stores.agenda.due(shard, now, None)
    ]

    mine = [work for work in due if work.owner == owner]
    assert [works[1], works[2], works[4]] == mine
    for work in works:
        await services.stores.agenda.remove([work])
        await services.stores.agenda.remove([work])


async def test_pages_of_the_agenda_continue_behind_the_last_row(services: App) -> None:
    owner, now = secrets.token_hex(16), services.clock() - timedelta(days=400)
    works = [Work(WorkKind.PROBE, now, owner, f"{number:04d}") for number in range(130)]
    await asyncio.gather(*(services.stores.agenda.add(work) for work in works))
    (shard,) = [shard for shard in services.stores.agenda.shards if await services.stores.agenda.due(shard, now, None)]

    first = await services.stores.agenda.due(shard, now, None)
    second = await services.stores.agenda.due(shard, now, first[-1])

    assert 100 == len(first)
    assert 130 == len({work.item for work in (*first, *second)})
    await asyncio.gather(*(services.stores.agenda.remove([work]) for work in works))


async def test_work_of_a_newer_version_waits_and_blocks_nothing(services: App) -> None:
    now = services.clock()
    known = Work(WorkKind.REFRESH, now, "somebody", "an-app")
    await services.stores.agenda.add(known)
    (shard,) = [shard for shard in services.stores.agenda.shards if await services.stores.agenda.due(shard, now, None)]
    table = storage_of(services).get_table_client("Agenda")
    (row,) = [dict(row) async for row in table.query_entities(f"PartitionKey eq '{shard}' and kind eq 'refresh'")]
    await table.create_entity({**row, "RowKey": f"{row['RowKey'][:14]}~archive~x", "kind": "archive"})

    assert [known] == list(await services.stores.agenda.due(shard, now, None))
