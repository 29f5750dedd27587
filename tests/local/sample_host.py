"""The local host as a process of its own, running the sample app."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from infra.local import parts

APP = Path(__file__).parent / "sample_app"
ONLY_BY_HAND = {
    "EVERY_SECOND": "* * * * * *",
    "AzureWebJobs.every_second.Disabled": "true",
    "AzureWebJobs.switched_off.Disabled": "true",
    "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "5000",
}


def start_sample_host(folder: Path, settings: Mapping[str, str] = MappingProxyType({}), app: Path = APP) -> parts.Part:
    command = parts.python_part("infra.local.host", "--app", str(app))
    return parts.start("host", command, folder=folder, settings=settings)


@contextmanager
def sample_host(
    folder: Path, settings: Mapping[str, str] = MappingProxyType({}), app: Path = APP
) -> Iterator[parts.Part]:
    with parts.running(start_sample_host(folder, settings, app)) as part:
        yield part
