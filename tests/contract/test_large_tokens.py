"""Tokens too long for one property of a row, and tokens too long for a row."""

import secrets
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.clouds import Resource
from shared.domain.errors import NotStorable, SealBroken
from shared.domain.formats import table_key
from shared.domain.secret import Secret
from shared.domain.tokens import TokenSet
from shared.ports import App, Insert, Replace, Stored
from tests.conftest import storage_of
from tests.contract.records import APP, grant, principal

LIMIT = 32 * 1024  # characters of a property


def token(length: int) -> Secret:
    return Secret(secrets.token_urlsafe(length)[:length])


@pytest.mark.parametrize("length", [0, 1, 24_530, 24_531, 24_532, 24_533, 24_600, 26_000, 48 * 1024, 98_000])
async def test_tokens_of_any_length_come_back_as_they_were_written(services: App, length: int) -> None:
    who, now = principal(), services.clock()
    written = replace(grant(who, now), access_token=token(length), refresh_token=token(length))
    written = written.renewed(_mail(written.refresh_token, services)._replace(access_token=token(length)), now, 0)

    await services.stores.principals.commit(who.id, [Insert(written)])

    stored = await services.stores.principals.grant(who.id, APP)
    assert stored is not None
    assert written == stored.value
    row = (
        await storage_of(services)
        .get_table_client("Principals")
        .get_entity(table_key(who.id), f"grant~{table_key(APP)}")
    )
    assert all(len(str(value)) <= LIMIT for value in row.values())


async def test_token_too_large_for_a_row_is_refused(services: App) -> None:
    who, now = principal(), services.clock()
    before = grant(who, now)
    (version,) = await services.stores.principals.commit(who.id, [Insert(before)])

    for length in (98_500, 1_000_000):
        with pytest.raises(NotStorable):
            await services.stores.principals.commit(
                who.id, [Replace(replace(before, access_token=token(length)), version)]
            )

    assert Stored(before, version) == await services.stores.principals.grant(who.id, APP)


async def test_shorter_token_leaves_nothing_of_a_longer_one(services: App) -> None:
    who, now = principal(), services.clock()
    long = replace(grant(who, now), access_token=token(80_000))
    (version,) = await services.stores.principals.commit(who.id, [Insert(long)])
    short = replace(long, access_token=token(30_000))

    await services.stores.principals.commit(who.id, [Replace(short, version)])

    stored = await services.stores.principals.grant(who.id, APP)
    assert stored is not None
    assert short == stored.value
    row = (
        await storage_of(services)
        .get_table_client("Principals")
        .get_entity(table_key(who.id), f"grant~{table_key(APP)}")
    )
    assert {"access_token", "access_token__2"} == {name for name in row if name.startswith("access_token")}


@pytest.mark.parametrize("change", ["missing", "swapped", "another grant's", "one too many"])
async def test_parts_that_do_not_belong_together_do_not_open(services: App, change: str) -> None:
    who, other, now = principal(), principal(), services.clock()
    for each in (who, other):
        await services.stores.principals.commit(
            each.id, [Insert(replace(grant(each, now), access_token=token(60_000)))]
        )
    raw = storage_of(services).get_table_client("Principals")
    row = dict(await raw.get_entity(table_key(who.id), f"grant~{table_key(APP)}"))
    theirs = await raw.get_entity(table_key(other.id), f"grant~{table_key(APP)}")
    match change:
        case "missing":
            del row["access_token__3"]
        case "swapped":
            row["access_token__2"], row["access_token__3"] = row["access_token__3"], row["access_token__2"]
        case "another grant's":
            row["access_token__2"] = theirs["access_token__2"]
        case _:
            row["access_token__4"] = row["access_token__3"]

    await raw.upsert_entity(row, mode="replace")

    stored = await services.stores.principals.grant(who.id, APP)
    assert stored is not None
    with pytest.raises(SealBroken):
        stored.value.access_token.reveal()
    assert "refresh-token" == stored.value.refresh_token.reveal()


def _mail(refresh_token: Secret, services: App) -> TokenSet:
    return TokenSet(refresh_token, Secret("mail"), services.clock() + timedelta(hours=1), ("mail",), Resource.OUTLOOK)
