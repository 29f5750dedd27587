"""Orphans: rows that nothing leads to, or that lead nowhere.

Once all that is due has been done and no link is open any more,

- an account is led to by its directory entry and its row in the index of mailboxes, and served by a grant beside it,
- a row of bindings lies beside an account,
- a grant serves an account, and the agenda holds the row that it waits for,
- no mailbox waits, and every event was delivered,
- a directory entry leads to an account, and so does a row in the index of mailboxes,
- no registration, sign-in attempt or newest link is left,
- every row of the agenda is about something that is there, and none is overdue: a grant that was planned anew leaves
  its earlier row behind until that is due.
"""

from datetime import datetime, timedelta
from typing import Any

from shared.domain.formats import table_key
from shared.ports import App
from shared.usecases.events.delivery import deliver_events
from shared.usecases.upkeep.sweep import sweep
from shared.usecases.upkeep.tick import run_tick, tidy
from tests.conftest import MovedClock, storage_of

LIMIT = timedelta(minutes=4)


async def drained(services: App, clock: MovedClock) -> None:
    """Do what is due, as the timers would, until all links, events and agenda rows of now are done."""
    for days in (0.1, 4, 8, 8):
        clock.forward(days=days)
        await run_tick(services)
        await tidy(services)
        await sweep(services, services.clock() + LIMIT)
    clock.forward(hours=1)
    await run_tick(services)
    await deliver_events(services, services.clock() + LIMIT)


async def rows(services: App, table: str) -> list[dict[str, Any]]:
    found = [dict(row) async for row in storage_of(services).get_table_client(table).list_entities()]
    return [row for row in found if row.get("RowKey") is not None]


async def orphans(services: App) -> list[str]:
    """What each of them is."""
    principals = {(row["PartitionKey"], row["RowKey"]): row for row in await rows(services, "Principals")}
    entries = {row["PartitionKey"]: row for row in await rows(services, "Accounts")}
    agenda = [row for row in await rows(services, "Agenda") if "kind" in row]
    found = [_of_principal(where, row, principals, entries, agenda) for where, row in principals.items()]
    found += await _mailboxes(services, [row for (_, key), row in principals.items() if key.startswith("account~")])
    found += [_entry(row, principals) for row in entries.values()]
    found += [f"registration {row['PartitionKey']}/{row['RowKey']}" for row in await rows(services, "Registrations")]
    found += [_work(row, principals, services.clock()) for row in agenda]
    return [what for what in found if what is not None]


def _of_principal(
    where: tuple[str, str],
    row: dict[str, Any],
    principals: dict[tuple[str, str], dict[str, Any]],
    entries: dict[str, dict[str, Any]],
    agenda: list[dict[str, Any]],
) -> str | None:
    partition, (kind, _, name) = where[0], where[1].partition("~")
    match kind:
        case "account":
            entry = entries.get(name, {})
            fine = entry.get("principal_id") == row["principal_id"] and _grant(row) in principals
        case "grant":
            served = [one for (of, key_), one in principals.items() if of == partition and key_.startswith("account~")]
            fine = any(one["app"] == row["app"] for one in served)
            fine = fine and ("due" not in row or any(_waits(row, work) for work in agenda))
        case "bindings":
            fine = any(of == partition and other.startswith("account~") for of, other in principals)
        case _:
            fine = False
    return None if fine else f"{kind} {name} of {partition}"


async def _mailboxes(services: App, accounts: list[dict[str, Any]]) -> list[str]:
    """Rows of the index that no account needs, and those that one lacks."""
    indexed = {(row["PartitionKey"], row["RowKey"]) for row in await rows(services, "Mailboxes")}
    needed = {(table_key(row["email"]), table_key(row["id"])) for row in accounts}
    return [f"mailbox {address} of {account}" for address, account in indexed ^ needed]


def _grant(account: dict[str, Any]) -> tuple[str, str]:
    return account["PartitionKey"], f"grant~{table_key(account['app'])}"


def _waits(grant: dict[str, Any], work: dict[str, Any]) -> bool:
    return (work["due"], work["item"]) == (grant["due"], grant["app"])


def _entry(row: dict[str, Any], principals: dict[tuple[str, str], dict[str, Any]]) -> str | None:
    leads = (table_key(row.get("principal_id", "")), f"account~{row['PartitionKey']}") in principals
    return None if leads else f"directory entry {row['account']}"


def _work(row: dict[str, Any], principals: dict[tuple[str, str], dict[str, Any]], now: datetime) -> str | None:
    owner = table_key(row["owner"])
    match row["kind"]:
        case "refresh" | "keepalive":
            fine = (owner, f"grant~{table_key(row['item'])}") in principals and row["due"] > now.isoformat()
        case _:
            fine = False
    return None if fine else f"work {row['kind']} of {row['owner']}: {row['item']}, due {row['due']}"
