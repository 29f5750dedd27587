"""Azurite, as the local run and the tests start it."""

import urllib.error
import urllib.request
from pathlib import Path

import pytest
from azure.data.tables import TableServiceClient

from infra.local.azurite import Azurite, start
from infra.local.parts import PartError


def remember(storage: Azurite, word: str) -> None:
    with TableServiceClient.from_connection_string(storage.connection_string) as tables:
        table = tables.create_table_if_not_exists("Words")
        table.upsert_entity({"PartitionKey": "words", "RowKey": word})


def remembered(storage: Azurite) -> list[str]:
    with TableServiceClient.from_connection_string(storage.connection_string) as tables:
        table = tables.create_table_if_not_exists("Words")
        return [str(row["RowKey"]) for row in table.list_entities()]


def test_all_services_listen_on_free_ports(azurite: Azurite) -> None:
    for service in ("blob", "queue", "table"):
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(azurite.part.ready[service])  # noqa: S310 - our own address
        assert refusal.value.headers["server"].startswith("Azurite")
        refusal.value.close()


def test_addresses_are_127_0_0_1(azurite: Azurite) -> None:
    """The tables SDK takes localhost for Cosmos DB."""
    assert azurite.tables_url.startswith("http://127.0.0.1:")
    assert "localhost" not in azurite.connection_string


def test_two_in_memory_instances_are_separate(tmp_path: Path, azurite: Azurite) -> None:
    other = start(folder=tmp_path)
    try:
        remember(azurite, "mine")
        assert [] == remembered(other)
    finally:
        other.stop()


def test_data_in_a_folder_survives_a_restart(tmp_path: Path) -> None:
    first = start(folder=tmp_path, data=tmp_path / "data")
    remember(first, "kept")
    first.stop()
    second = start(folder=tmp_path, data=tmp_path / "data")
    try:
        assert ["kept"] == remembered(second)
    finally:
        second.stop()


def test_taken_table_port_is_reported(tmp_path: Path, azurite: Azurite) -> None:
    port = int(azurite.part.ready["table"].rpartition(":")[2])
    with pytest.raises(PartError, match="EADDRINUSE"):
        start(folder=tmp_path, table_port=port)


def test_missing_installation_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.local.azurite.ENTRY", tmp_path / "missing.js")
    with pytest.raises(PartError, match="run `make setup` first"):
        start(folder=tmp_path)
