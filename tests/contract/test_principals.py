"""The principals' partitions, on Azurite."""

import asyncio
import secrets
from dataclasses import replace

import pytest
from azure.data.tables import UpdateMode

from shared.adapters.tables.table import Table
from shared.domain.account import AccountState, LastError
from shared.domain.clouds import Resource
from shared.domain.errors import InvalidInput, SealBroken, StaleWrite
from shared.domain.event import Event, EventName, Origin
from shared.domain.formats import table_key
from shared.domain.invited_mailbox import new_pending_account
from shared.domain.secret import Secret
from shared.domain.tokens import TokenSet
from shared.ports import App, Insert, Remove, Replace, Stored
from tests.conftest import storage_of
from tests.contract.records import APP, account, grant, principal


async def test_grant_comes_back_as_it_was_written(services: App) -> None:
    who = principal()
    written = replace(grant(who, services.clock()), last_error=LastError("blocked_by_policy", services.clock()))

    await services.stores.principals.commit(who.id, [Insert(written)])

    stored = await services.stores.principals.grant(who.id, APP)
    assert stored is not None
    assert written == stored.value


async def test_grant_with_two_resources_is_stored_sealed(services: App) -> None:
    who, now = principal(), services.clock()
    further = TokenSet(Secret("refresh-token"), Secret("mail-token"), now, ("mail",), Resource.OUTLOOK)
    written = grant(who, now).renewed(further, now, 0).with_hand_out(now, 0, Resource.OUTLOOK)

    await services.stores.principals.commit(who.id, [Insert(written)])

    stored = await services.stores.principals.grant(who.id, APP)
    assert stored is not None
    assert written == stored.value
    row = (
        await storage_of(services)
        .get_table_client("Principals")
        .get_entity(table_key(who.id), f"grant~{table_key(APP)}")
    )
    assert "mail-token" not in str(row)


async def test_grant_of_an_earlier_version_is_for_graph(services: App) -> None:
    who = principal()
    await services.stores.principals.commit(who.id, [Insert(grant(who, services.clock()))])
    raw = storage_of(services).get_table_client("Principals")
    row = dict(await raw.get_entity(table_key(who.id), f"grant~{table_key(APP)}"))

    del row["resource"]
    await raw.upsert_entity(row, mode=UpdateMode.REPLACE)

    stored = await services.stores.principals.grant(who.id, APP)
    assert stored is not None
    assert (Resource.GRAPH, None) == (stored.value.resource, stored.value.token_for(Resource.OUTLOOK))


async def test_what_was_never_written_is_none(services: App) -> None:
    assert None is await services.stores.principals.grant(principal().id, APP)
    assert None is await services.stores.principals.account(principal().id, "nope")
    assert None is await services.stores.principals.pending(principal().id, "nope")


async def test_secrets_lie_sealed_and_bound_to_their_row(services: App) -> None:
    who, other = principal(), principal()
    await services.stores.principals.commit(who.id, [Insert(grant(who, services.clock()))])
    await services.stores.principals.commit(other.id, [Insert(grant(other, services.clock()))])
    raw = storage_of(services).get_table_client("Principals")
    rows = [row async for row in raw.list_entities()]

    assert not [row for row in rows if "refresh-token" in str(row) or "access-token" in str(row)]

    mine, theirs = [row for row in rows if row["RowKey"].startswith("grant~") and _owner(row) in {who.id, other.id}]
    await raw.upsert_entity({**mine, "refresh_token": theirs["refresh_token"]})
    moved = await services.stores.principals.grant(_owner(mine), APP)
    assert moved is not None
    with pytest.raises(SealBroken):
        moved.value.refresh_token.reveal()
    assert Secret("access-token") == moved.value.access_token


def _owner(row: dict[str, str]) -> str:
    import json  # noqa: PLC0415 - needed here only

    found = json.loads(row["principal"])
    return f"{found['tenant_id']}.{found['object_id']}"


async def test_transaction_is_all_or_nothing(services: App) -> None:
    who = principal()
    taken = account(who, services.clock())
    await services.stores.principals.commit(who.id, [Insert(taken)])

    with pytest.raises(StaleWrite):
        await services.stores.principals.commit(who.id, [Insert(grant(who, services.clock())), Insert(taken)])

    assert None is await services.stores.principals.grant(who.id, APP)


async def test_of_two_writers_one_wins_and_the_other_is_told(services: App) -> None:
    who = principal()
    (version,) = await services.stores.principals.commit(who.id, [Insert(grant(who, services.clock()))])
    tries = [replace(grant(who, services.clock()), bindings=str(number)) for number in range(8)]

    results = await asyncio.gather(
        *(services.stores.principals.commit(who.id, [Replace(one, version)]) for one in tries), return_exceptions=True
    )

    won = [number for number, result in enumerate(results) if not isinstance(result, BaseException)]
    stored = await services.stores.principals.grant(who.id, APP)
    assert 7 == sum(isinstance(result, StaleWrite) for result in results)
    assert stored is not None
    assert [int(stored.value.bindings)] == won


async def test_of_two_inserts_one_wins(services: App) -> None:
    who = principal()

    results = await asyncio.gather(
        *(services.stores.principals.commit(who.id, [Insert(grant(who, services.clock()))]) for _ in range(6)),
        return_exceptions=True,
    )

    assert 5 == sum(isinstance(result, StaleWrite) for result in results)


async def test_removing_an_older_version_is_refused(services: App) -> None:
    who = principal()
    first = grant(who, services.clock())
    (version,) = await services.stores.principals.commit(who.id, [Insert(first)])
    await services.stores.principals.commit(who.id, [Replace(first, version)])

    with pytest.raises(StaleWrite):
        await services.stores.principals.commit(who.id, [Remove(first, version)])


async def test_versions_of_a_commit_are_those_to_write_over_next(services: App) -> None:
    who = principal()
    one, two = grant(who, services.clock()), account(who, services.clock())
    versions = await services.stores.principals.commit(who.id, [Insert(one), Insert(two)])

    again = await services.stores.principals.commit(who.id, [Replace(one, versions[0]), Replace(two, versions[1])])

    assert 2 == len(set(again) - set(versions))


async def test_partition_holds_everything_but_events(services: App) -> None:
    who, now = principal(), services.clock()
    waiting = new_pending_account(
        registration=secrets.token_hex(32),
        accounts=("support",),
        principal=who,
        app=APP,
        tokens=TokenSet(Secret("r"), Secret("a"), now, ()),
        kept=True,
        reason="no_mailbox_access",
        now=now,
    )
    held = account(who, now)
    event = Event("0" * 12, Origin.PRINCIPAL, who.id, EventName.ACCOUNT_ADDED, now, held.id)
    await services.stores.principals.commit(
        who.id, [Insert(grant(who, now)), Insert(held), Insert(waiting), Insert(event)]
    )

    partition = await services.stores.principals.partition(who.id)

    assert [APP] == list(partition.grants)
    assert [held] == [stored.value for stored in partition.accounts.values()]
    assert [waiting] == [stored.value for stored in partition.pending.values()]


async def test_event_can_be_forgotten_twice(services: App) -> None:
    who = principal()
    told = EventName.ACCOUNT_ADDED, services.clock(), "a", {"account": "a", "more": [1, None]}
    event = Event("f" * 12, Origin.PRINCIPAL, who.id, *told)
    await services.stores.principals.commit(who.id, [Insert(event)])

    assert event == await services.stores.outboxes.read(event.origin, event.owner, event.id)
    await services.stores.outboxes.forget([event])
    await services.stores.outboxes.forget([event])

    raw = storage_of(services).get_table_client("Principals")
    assert [] == [row async for row in raw.query_entities("RowKey eq @row", parameters={"row": f"event~{event.id}"})]


async def test_cursors_lead_through_all_accounts_once(services: App) -> None:
    mark = secrets.token_hex(4)
    for number in range(7):
        who = principal()
        state = AccountState.CONNECT_ERROR if number % 2 else AccountState.CONNECTED
        held = replace(account(who, services.clock(), f"{mark}-{number}"), state=state)
        await services.stores.principals.commit(who.id, [Insert(held)])

    seen: list[str] = []
    cursor: str | None = None
    while True:
        step = [pair async for pair in _first(services, cursor, 3)]
        seen += [account_id for _, account_id in step if account_id.startswith(mark)]
        if not step:
            break
        cursor = step[-1][0]
    troubled = [
        a.id async for _, a in services.stores.principals.accounts("connectError", None) if a.id.startswith(mark)
    ]

    assert {f"{mark}-{number}" for number in range(7)} == set(seen)
    assert 7 == len(seen)
    assert 3 == len(troubled)


async def _first(services: App, cursor: str | None, count: int):  # type: ignore[no-untyped-def] # noqa: ANN202 - a generator of pairs
    async for position, found in services.stores.principals.accounts(None, cursor):
        yield position, found.id
        count -= 1
        if not count:
            return


async def test_made_up_cursor_is_refused_by_name(services: App) -> None:
    with pytest.raises(InvalidInput) as refused:
        [pair async for pair in services.stores.principals.accounts(None, "bm9wZQ==")]

    assert ["cursor"] == list(refused.value.fields)


async def test_ids_that_storage_forbids_in_keys_are_fine(services: App) -> None:
    who = principal()
    for odd in ("a/b\\c#d?e", "x" * 256, "ü" * 256, "%41+b", "tab\tnul\x00", "~event~"):
        held = account(who, services.clock(), odd)
        await services.stores.principals.commit(who.id, [Insert(held)])

        stored = await services.stores.principals.account(who.id, odd)

        assert isinstance(stored, Stored)
        assert held == stored.value


async def test_account_ids_do_not_differ_by_case(services: App) -> None:
    who = principal()
    await services.stores.principals.commit(who.id, [Insert(account(who, services.clock(), "Shared"))])

    with pytest.raises(StaleWrite):
        await services.stores.principals.commit(who.id, [Insert(account(who, services.clock(), "sHARED"))])


async def test_missing_table_reads_as_empty_and_is_created_by_a_write(services: App) -> None:
    table = Table(
        "T" + secrets.token_hex(8), storage_of(services).get_table_client, services.sealing.sealer, services.entropy
    )
    who = principal()

    assert None is await table.read(type(who), "p", "")
    await table.put([{"PartitionKey": "p", "RowKey": "", "tenant_id": "t", "object_id": "o", "sign_in_name": "s"}])
    assert await table.read(type(who), "p", "") is not None
