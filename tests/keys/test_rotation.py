"""Promises of rotating data keys, beside live traffic."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from infra.local.visitor import Visitor
from shared.adapters.tables.mapping import seal_identity
from shared.domain.errors import KeyUnavailable, SealBroken
from shared.domain.formats import fingerprint
from shared.domain.oauth_app import Authentication
from shared.domain.secret import Secret
from shared.ports import App, Insert, SealedRow, SealedRows
from shared.usecases.apps.catalogue import register_oauth_app
from shared.usecases.apps.verify import verify_oauth_app
from shared.usecases.sign_in.outcome import Completed, keep_checking
from shared.usecases.tokens.account_grant import look_up_account
from shared.usecases.tokens.hand_out import hand_out
from shared.usecases.tokens.refresh import refresh_grant
from shared.usecases.upkeep.rotate import Rotation, forget_data_keys, make_data_key, reseal, rewrap_data_keys
from tests.conftest import MovedClock, storage_of
from tests.contract.records import APP, grant, principal
from tests.keys.at_rest import everything
from tests.keys.conftest import IDENTITY, Start, Vault
from tests.keys.people import begin, finish, person, sign_in
from tests.keys.test_client_authentication import certificate

pytestmark = pytest.mark.usefixtures("fresh")


def rotation(services: App, clock: MovedClock, told: list[str] | None = None) -> Rotation:
    """A rotation whose waiting moves the clock."""

    async def pause(time: timedelta) -> None:
        clock.forward(seconds=time.total_seconds())
        await asyncio.sleep(0)

    report = told.append if told is not None else lambda _: None
    return Rotation(services, pause, report)


async def under(services: App) -> Counter[str]:
    """How many values are sealed under each data key."""
    return Counter([found.data_key async for found in everything(services) if found.data_key])


async def test_next_data_key_is_made_after_the_rotation_period(start: Start, clock: MovedClock) -> None:
    services = start(MAILBIND_DATA_KEY_DAYS="30")
    old = await services.sealing.sealer.seal("row", Secret("old"))
    clock.forward(days=29)
    await services.sealing.sealer.seal("row", Secret("x"))
    assert 1 == len(await services.sealing.data_keys.listed())
    clock.forward(days=2)
    await services.sealing.sealer.seal("row", Secret("x"))
    await services.sealing.data_keys.wait_until_idle()

    new = await services.sealing.sealer.seal("row", Secret("new"))

    assert old.split(".")[1] < new.split(".")[1]
    assert Secret("old") == await services.sealing.sealer.unseal("row", old)
    assert Secret("new") == await services.sealing.sealer.unseal("row", new)


async def test_concurrent_processes_make_one_data_key(start: Start, clock: MovedClock) -> None:
    processes = [start() for _ in range(6)]

    for made in (1, 2):  # the first data key ever, then the next one
        for _ in range(2):
            sealed = await asyncio.gather(*(each.sealing.sealer.seal("row", Secret("x")) for each in processes))
            opened = await asyncio.gather(
                *(each.sealing.sealer.unseal("row", text) for each in processes for text in sealed)
            )
            await asyncio.gather(*(each.sealing.data_keys.wait_until_idle() for each in processes))
            assert {Secret("x")} == set(opened)
        assert 1 == len({text.split(".")[1] for text in sealed})
        assert made == len(await processes[0].sealing.data_keys.listed())
        clock.forward(days=91)


async def test_two_that_are_made_by_command_at_once_both_stay_usable(start: Start, clock: MovedClock) -> None:
    one, two = start(), start()
    await one.sealing.sealer.seal("row", Secret("x"))

    async def make_and_seal(services: App) -> str:
        await services.sealing.data_keys.make()
        return await services.sealing.sealer.seal("row", Secret("x"))

    sealed = list(await asyncio.gather(make_and_seal(one), make_and_seal(two)))
    clock.forward(minutes=2)
    sealed += await asyncio.gather(*(each.sealing.sealer.seal("row", Secret("x")) for each in (one, two)))

    for each in (one, two, start()):
        assert {Secret("x")} == {await each.sealing.sealer.unseal("row", text) for text in sealed}


async def test_other_processes_use_a_new_data_key_within_a_minute(start: Start, clock: MovedClock) -> None:
    one, two = start(), start()
    await two.sealing.sealer.seal("row", Secret("x"))
    made = await one.sealing.data_keys.make()
    clock.forward(seconds=61)

    sealed = await two.sealing.sealer.seal("row", Secret("x"))

    assert made.id == sealed.split(".")[1]


async def test_value_under_an_unknown_data_key_opens_at_once(start: Start) -> None:
    one, two = start(), start()
    await two.sealing.sealer.seal("row", Secret("x"))
    await one.sealing.data_keys.make()

    assert Secret("new") == await two.sealing.sealer.unseal("row", await one.sealing.sealer.seal("row", Secret("new")))


async def test_unreadable_newest_key_is_bypassed_for_minutes_only(
    vault: Vault, start: Start, clock: MovedClock
) -> None:
    """Or else it would write under a data key that is forgotten meanwhile."""
    key = vault.make()
    one, two = (start(MAILBIND_KEY_VAULT_KEY=key, MAILBIND_SEALING_KEY="") for _ in range(2))
    before = await two.sealing.sealer.seal("row", Secret("x"))
    await one.sealing.data_keys.make()
    vault.do("outage", endpoint="vault", mode="503")
    clock.forward(minutes=2)

    assert before.split(".")[1] == (await two.sealing.sealer.seal("row", Secret("x"))).split(".")[1]
    clock.forward(minutes=10)
    with pytest.raises(KeyUnavailable):
        await two.sealing.sealer.seal("row", Secret("x"))
    assert Secret("x") == await two.sealing.sealer.unseal("row", before)


async def test_data_key_is_deleted_only_when_old_and_unused(vault: Vault, start: Start, clock: MovedClock) -> None:
    services = start()
    await sign_in(services, vault.ready["caFile"], person(vault))
    (old,) = await services.sealing.data_keys.listed()
    await services.sealing.data_keys.make()
    rotate = rotation(services, clock)
    values = (await under(services))[old.id]
    assert values > 0

    assert {old.id: values} == await forget_data_keys(rotate)
    clock.forward(hours=2)
    assert {old.id: values} == await forget_data_keys(rotate)
    clock.forward(hours=-2)
    assert await reseal(rotate)
    assert {old.id: 0} == await forget_data_keys(rotate)
    clock.forward(hours=2)
    assert {} == await forget_data_keys(rotate)

    assert 1 == len(await services.sealing.data_keys.listed())


class Dying:
    """The sealed rows, whose process dies at the second one."""

    def __init__(self, rows: SealedRows) -> None:
        self.rows, self.tables, self.walk, self.done = rows, rows.tables, rows.walk, 0

    async def reseal(self, table: str, row: SealedRow, names: Sequence[str]) -> Sequence[str]:
        self.done += 1
        if self.done == 2:
            raise asyncio.CancelledError
        return await self.rows.reseal(table, row, names)


async def test_rotation_that_was_interrupted_goes_on_where_it_was(
    vault: Vault, start: Start, clock: MovedClock
) -> None:
    services = start()
    for _ in range(3):
        await sign_in(services, vault.ready["caFile"], person(vault))
    await services.sealing.data_keys.make()
    dying = replace(services, sealing=replace(services.sealing, rows=Dying(services.sealing.rows)))
    with pytest.raises(asyncio.CancelledError):
        await reseal(rotation(dying, clock))
    told: list[str] = []

    assert await reseal(rotation(start(), clock, told))

    assert 1 == len(await under(services))
    assert any(line.startswith("Principals: ") for line in told)


async def test_resealed_sign_in_attempt_does_not_count_as_used(vault: Vault, start: Start, clock: MovedClock) -> None:
    """Between reading an attempt and using it up; and it is still good only once."""
    services = start()
    with Visitor(vault.ready["caFile"]) as visitor:
        begun = await begin(services, visitor)
    stored = await services.stores.registrations.attempt(begun.registration, fingerprint(begun.state))
    assert stored is not None
    await services.sealing.data_keys.make()
    assert await reseal(rotation(services, clock))

    assert await services.stores.registrations.use_attempt(stored, clock())

    assert not await services.stores.registrations.use_attempt(stored, clock())


async def test_two_rotations_under_load_reseal_everything(vault: Vault, start: Start, clock: MovedClock) -> None:
    """Hand-outs, refreshes and sign-ins go on in two processes while a third rotates, forgets, and rotates again."""
    ca_file = vault.ready["caFile"]
    # Every hand-out reads a row, as it is sealed at that moment.
    one, two, rotating = start(MAILBIND_REMEMBER_SECONDS="0"), start(MAILBIND_REMEMBER_SECONDS="0"), start()
    load = Load([one, two], ca_file, vault)
    load.accounts += await asyncio.gather(*(sign_in(one, ca_file, person(vault)) for _ in range(6)))
    with Visitor(ca_file) as visitor:
        await _keep_waiting(one, vault, ca_file)
        for _ in range(2):
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(work()) for work in (load.hand_outs, load.refreshes, load.sign_ins)]
                rotate = rotation(rotating, clock)
                await rewrap_data_keys(rotate)
                await make_data_key(rotate)
                await load.worked(3)
                assert await reseal(rotate)
                await load.worked(3)
                load.stop.set()
                await asyncio.wait(running)
            clock.forward(hours=1, minutes=1)
            vault.do("clock", advanceSeconds=3660)
            open_ = await begin(one, visitor)  # a sign-in may take an hour, and so is never older than a forgotten key
            assert {} == await forget_data_keys(rotate)
            load.stop.clear()

        anew = start()
        (newest,) = await anew.sealing.data_keys.listed()
        assert {newest.id} == set(await under(anew))
        secrets = await _opened(anew)
        assert len(secrets) > 2 * len(load.accounts)
        secrets |= {open_.ticket, open_.state, open_.cookie.reveal()}
        leaks = [(f.table, f.name, leak) async for f in everything(anew) for leak in f.leaks(secrets)]
        assert set() == {(table, name, leak[:4] + "…") for table, name, leak in leaks}
        for account in load.accounts:
            assert (await hand_out(anew, account)).access_token.reveal()
        assert isinstance(await finish(anew, visitor, open_, person(vault)), Completed)


async def test_scan_finds_secrets_in_unknown_properties(start: Start) -> None:
    services = start()
    table = await storage_of(services).create_table_if_not_exists("Statistics")
    samples = {"note": "x" * 10 + "eyJ0eXAiOiJKV1QifQ.eyJhdWQiOiJ4In0.c2lnbmF0dXJlLW9mLWEtdG9rZW4", "known": "short"}
    await services.sealing.sealer.seal("row", Secret("x"))
    await table.upsert_entity({"PartitionKey": "planted", "RowKey": "", **samples})

    leaks = {found.name async for found in everything(services) if found.leaks({"short"})}

    assert {"note", "known"} == leaks
    await table.delete_entity("planted", "")


class Load:
    """Traffic on several processes until it is told to stop."""

    def __init__(self, processes: list[App], ca_file: str, vault: Vault) -> None:
        self.processes = processes
        self.ca_file = ca_file
        self.vault = vault
        self.accounts: list[str] = []
        self.stop = asyncio.Event()
        self.done: Counter[str] = Counter()

    async def hand_outs(self) -> None:
        await self._until_stopped("hand-outs", hand_out)

    async def refreshes(self) -> None:
        await self._until_stopped("refreshes", _renew)

    async def sign_ins(self) -> None:
        while not self.stop.is_set():
            process = self.processes[self.done["sign-ins"] % len(self.processes)]
            self.accounts.append(await sign_in(process, self.ca_file, person(self.vault)))
            self.done["sign-ins"] += 1

    async def worked(self, more: int) -> None:
        """Wait until each kind of traffic has done so much more."""
        until = {name: self.done[name] + more for name in ("hand-outs", "refreshes", "sign-ins")}
        while any(self.done[name] < count for name, count in until.items()):  # noqa: ASYNC110 - three counters, one test
            await asyncio.sleep(0.01)

    async def _until_stopped(self, name: str, act: Callable[[App, str], Awaitable[object]]) -> None:
        while not self.stop.is_set():
            for number, account in enumerate(list(self.accounts)):
                await act(self.processes[number % len(self.processes)], account)
                self.done[name] += 1


async def _renew(services: App, account: str) -> None:
    """As the timer does: callers may demand it twice a minute only."""
    _, grant = await look_up_account(services, account)
    await refresh_grant(services, grant)


async def _keep_waiting(services: App, vault: Vault, ca_file: str) -> None:
    """Somebody without access asks to keep checking, so that a pending account is there too."""
    with Visitor(ca_file) as visitor:
        begun = await begin(services, visitor)
        refused = await finish(services, visitor, begun, person(vault, access=False))
    assert isinstance(refused, Completed)
    assert refused.keep is not None, refused.results
    assert isinstance(await keep_checking(services, refused.keep, begun.cookie), Completed)


async def _opened(services: App) -> set[str]:
    """Every sealed value, opened."""
    opened: set[str] = set()
    async for found in everything(services):
        if found.data_key:
            identity = seal_identity(found.table, found.entity, found.name)
            try:
                opened.add((await services.sealing.sealer.unseal(identity, found.value)).reveal())
            except SealBroken:
                pytest.fail(f"{found.table}: {found.name} does not open")
    return opened - {""}


async def test_resealed_credentials_of_oauth_apps_keep_working(vault: Vault, start: Start, clock: MovedClock) -> None:
    private, public = certificate()
    vault.do("certificate", pem=public)
    services, ready = start(), vault.ready
    told = {"name": "App", "client_id": ready["clientId"], "authority": ready["tenantId"]}
    secret = {"client_secret": Secret("not-the-secret"), "client_secret_2": Secret(ready["clientSecret"])}
    ways = (
        secret,
        {"authentication": Authentication.CERTIFICATE, "certificate": public, "private_key": Secret(private)},
        {"authentication": Authentication.FEDERATED, "managed_identity": IDENTITY},
    )
    apps = [await register_oauth_app(services, {**told, **way}, {}) for way in ways]
    (old,) = await services.sealing.data_keys.listed()
    await services.sealing.data_keys.make()

    assert await reseal(rotation(services, clock))

    assert 0 == (await under(services))[old.id]
    other = start()
    assert set(apps) == {app.id for app in await other.stores.oauth_apps.all()}
    for app in apps:
        verified = await verify_oauth_app(other, app, None, open_mailbox=False)
        assert {"ok"} == {step.status.value for step in verified.steps if step.id in {"authority", "client"}}
    private_line = private.splitlines()[1]
    assert [] == [found async for found in everything(other) if private_line in found.value]


async def test_values_in_several_properties_are_resealed_whole(start: Start, clock: MovedClock) -> None:
    services = start()
    who = principal()
    long = replace(grant(who, clock()), access_token=Secret("x" * 60_000))
    await services.stores.principals.commit(who.id, [Insert(long)])
    old = (await services.sealing.data_keys.listed())[-1].id
    await services.sealing.data_keys.make()

    assert await reseal(rotation(services, clock))

    assert 0 == (await under(services))[old]
    stored = await start().stores.principals.grant(who.id, APP)
    assert stored is not None
    assert long == stored.value
    clock.forward(days=1)
    await forget_data_keys(rotation(services, clock))
    assert [data_key.id for data_key in await services.sealing.data_keys.listed()] != [old]
