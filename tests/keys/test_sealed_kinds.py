"""Promises of what a rotation takes for sealed: what the kind of a record says, whatever anybody writes."""

import asyncio
import base64
import importlib
import logging
import pkgutil
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass

import pytest
from azure.data.tables.aio import TableClient

import shared.domain
import shared.ports
from shared.adapters.tables.mapping import seal_identity, shape_of
from shared.adapters.tables.row_secrets import SEALED_KINDS
from shared.adapters.tables.table import Table, Write
from shared.domain.caller import Scope
from shared.domain.formats import table_key
from shared.domain.limit import Bucket
from shared.domain.oauth_app import ClientCertificate, ClientSecret
from shared.domain.secret import Secret
from shared.domain.tokens import ResourceToken, TokenSet
from shared.ports import App
from shared.usecases.apps.catalogue import register_oauth_app
from shared.usecases.callers.api_tokens import TokenWish, issue_token
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.events.webhooks import Subscription, subscribe
from shared.usecases.sign_in.invitation import Invitation
from shared.usecases.sign_in.start import start_registration
from shared.usecases.upkeep.rotate import reseal
from tests.conftest import MovedClock, storage_of
from tests.keys.conftest import Start
from tests.keys.test_rotate_command import Rotate, rotate
from tests.keys.test_rotation import rotation
from tests.sealed_text import data_key_of

__all__ = ["rotate"]  # a fixture
pytestmark = pytest.mark.usefixtures("fresh")

# These hold secrets in memory, and are never a row.
TRANSIENT = {TokenSet, ResourceToken, ClientSecret, ClientCertificate}
ROWS = [(table, prefix, kind) for table, kinds in SEALED_KINDS.items() for prefix, kind in kinds.items()]


@dataclass(frozen=True)
class Place:
    """One property of one row."""

    table: str
    partition: str
    row: str
    name: str

    def __str__(self) -> str:
        return f"{self.table}/{self.partition}/{self.row}/{self.name}"

    async def write(self, services: App, value: str) -> None:
        rows = await self._rows(services)
        await rows.upsert_entity({"PartitionKey": self.partition, "RowKey": self.row, self.name: value})

    async def seal(self, services: App, secret: str) -> None:
        await self.write(services, await services.sealing.sealer.seal(self._identity(), Secret(secret)))

    async def read(self, services: App) -> str:
        found = await (await self._rows(services)).get_entity(self.partition, self.row)
        return str(found[self.name])

    async def unseal(self, services: App) -> str:
        return (await services.sealing.sealer.unseal(self._identity(), await self.read(services))).reveal()

    def _identity(self) -> str:
        return seal_identity(self.table, {"PartitionKey": self.partition, "RowKey": self.row}, self.name)

    async def _rows(self, services: App) -> TableClient:
        await storage_of(services).create_table_if_not_exists(self.table)
        return storage_of(services).get_table_client(self.table)


def planted(table: str, prefix: str, name: str) -> Place:
    return Place(table, table_key(secrets.token_hex(8)), f"{prefix}~{secrets.token_hex(4)}" if prefix else "", name)


def kinds_with_secrets() -> set[type]:
    """Every dataclass of the domain and the ports with a secret among its fields."""
    return {
        kind
        for package in (shared.domain, shared.ports)
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
        for kind in vars(importlib.import_module(module.name)).values()
        if isinstance(kind, type) and is_dataclass(kind) and shape_of(kind).sealed
    }


def test_rotation_knows_every_kind_of_record_with_a_secret() -> None:
    assert kinds_with_secrets() - TRANSIENT == {kind for _, _, kind in ROWS}


def test_kinds_that_share_row_keys_share_no_secret_names() -> None:
    salt = SEALED_KINDS["Limits"][""]

    assert not shape_of(salt).sealed & {field.name for field in fields(Bucket)}


async def test_secret_unknown_to_a_rotation_cannot_be_written(start: Start) -> None:
    services = start()
    table = Table("Statistics", storage_of(services).get_table_client, services.sealing.sealer, services.entropy)

    with pytest.raises(TypeError, match="SEALED_KINDS lacks token of Statistics"):
        await table.write([Write("create", {"PartitionKey": "x", "RowKey": "", "token": Secret("x")})])


async def test_table_that_seals_nothing_takes_no_secret(start: Start) -> None:
    """A rotation would miss it, and a copy of the storage would show it."""
    services = start()
    table = Table("ApiTokens", storage_of(services).get_table_client, None, services.entropy)

    with pytest.raises(TypeError, match="Secret"):
        await table.write([Write("create", {"PartitionKey": "x", "RowKey": "", "token": Secret("x")})])


async def test_every_secret_is_sealed_under_the_newest_data_key(start: Start, clock: MovedClock) -> None:
    services = start()
    places = [planted(table, prefix, name) for table, prefix, kind in ROWS for name in shape_of(kind).sealed]
    for place in places:
        await place.seal(services, str(place))
    newest = await services.sealing.data_keys.make()

    assert await reseal(rotation(services, clock))

    assert len(places) >= 12
    assert {newest.id} == {data_key_of(await place.read(services)) for place in places}
    assert [str(place) for place in places] == [await place.unseal(services) for place in places]


async def test_text_that_looks_sealed_is_nobodys_secret(rotate: Rotate, start: Start, clock: MovedClock) -> None:
    """In everything that a caller may write, in properties of no known name, and in rows of no known kind."""
    clock.forward(hours=-3)
    services = start(MAILBIND_WEBHOOKS_LOOPBACK="true", MAILBIND_REDIRECT_ORIGINS="")
    await services.sealing.sealer.seal("row", Secret("x"))
    (old,) = await services.sealing.data_keys.listed()
    text = f"v1.{old.id}.AAAA"
    webhook = await callers_text(services, text)
    strange = [
        Place("Webhooks", "strange", "", "note"),
        Place("Principals", "strange", "later~x", "refresh_token"),
        Place("Registrations", "strange", "", "flow"),
        Place("Limits", "strange", "other~x", "value"),
        Place("Accounts", "strange", "", "secret"),
    ]
    for place in strange:
        await place.write(services, text)
    clock.forward(hours=1)
    await services.sealing.data_keys.make()

    # In a thread, so that the loop sees connections end that the server closes meanwhile.
    resumed, forgot = [await asyncio.to_thread(rotate, step) for step in ("--resume", "--forget-old")]

    assert (0, "") == (resumed.returncode, resumed.stderr)
    assert "do not open 0" in resumed.stdout
    assert 0 == forgot.returncode
    assert f"forgot data key {old.id}" in forgot.stdout
    assert {text} == {await place.read(services) for place in strange}
    kept = await start().stores.webhooks.get(webhook)
    assert kept is not None
    assert (text, Secret("https://127.0.0.1/hook")) == (kept.value.description, kept.value.url)


async def callers_text(services: App, text: str) -> str:
    """That text in whatever callers may write; the id of a webhook with it."""
    target = Subscription(Secret("https://127.0.0.1/hook"), ("*",), description=text, verify=False)
    subscribed = await subscribe(services, target, {}, ADMINISTRATOR)
    await issue_token(services, TokenWish(text, frozenset({Scope.REGISTER})), {}, ADMINISTRATOR)
    told = {
        "name": text,
        "client_id": str(services.config.seed.client_id),
        "authority": services.config.seed.authority,
    }
    await register_oauth_app(services, {**told, "client_secret": Secret("a-secret")}, {})
    invitation = Invitation(
        redirect_url=f"https://myapp.example/{text}",
        account=text,
        name=text,
        email="support@contoso.example",
        delegated=True,
    )
    await start_registration(services, invitation, {}, ADMINISTRATOR)
    return subscribed.webhook.id


def damaged(data_key: str, moved: str) -> Iterator[tuple[str, str]]:
    """Sealed properties that do not decrypt, by why."""
    yield "moved here from another row", moved
    yield "of a version that is not known here", f"v2.{data_key}.{moved.rpartition('.')[2]}"
    yield "changed", f"v1.{data_key}.{base64.urlsafe_b64encode(secrets.token_bytes(60)).decode()}"
    yield "no base64", f"v1.{data_key}.***"
    yield "under a data key that is gone", f"v1.{20 * 'f'}.AAAA"
    yield "not sealed at all", "https://hooks.example/x"


async def test_undecryptable_value_is_reported_and_blocks_no_other(
    rotate: Rotate, start: Start, clock: MovedClock
) -> None:
    clock.forward(hours=-3)
    services = start()
    other = planted("Webhooks", "", "url")
    await other.seal(services, "secret of another row")
    (old,) = await services.sealing.data_keys.listed()
    whole, broken = [], []
    for why, value in damaged(old.id, await other.read(services)):
        place = planted("Webhooks", "", "url")
        beside = [Place(place.table, place.partition, place.row, name) for name in ("secret", "headers")]
        for each in beside:
            await each.seal(services, why)
        await place.write(services, value)
        whole += beside
        broken.append(place)
    clock.forward(hours=1)
    newest = await services.sealing.data_keys.make()

    # In a thread, so that the loop sees connections end that the server closes meanwhile.
    resumed, forgot = [await asyncio.to_thread(rotate, step) for step in ("--resume", "--forget-old")]

    assert 1 == resumed.returncode
    assert f"do not open {len(broken)}" in resumed.stdout
    assert sorted(f'sealed value does not open {{"place": "{place}"}}' for place in broken) == sorted(
        resumed.stderr.splitlines()
    )
    assert {newest.id} == {data_key_of(await place.read(services)) for place in (*whole, other)}
    assert all([await place.unseal(services) for place in whole])
    assert 1 == forgot.returncode
    assert f"kept data key {old.id}: 4 values need it" in forgot.stdout


async def test_undecryptable_value_is_logged_once_with_its_place(
    start: Start, clock: MovedClock, caplog: pytest.LogCaptureFixture
) -> None:
    services = start()
    lost, kept = planted("OAuthApps", "", "private_key"), planted("Limits", "", "value")
    await kept.seal(services, "salt")
    await lost.write(services, f"v1.{20 * 'f'}.AAAA")
    await services.sealing.data_keys.make()

    with caplog.at_level(logging.WARNING):
        assert not await reseal(rotation(services, clock))

    told = [record for record in caplog.records if record.message == "sealed value does not open"]
    assert [str(lost)] == [vars(record)["place"] for record in told]
