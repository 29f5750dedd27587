"""Writes the files that Power Platform imports: `python -m infra.connector https://mailbind.example`."""

import argparse
import json
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from infra.connector.definition import definition
from infra.connector.icon import icon

HERE = Path(__file__).parent


def build(folder: Path, base_url: str) -> None:
    """Write the connector for the Mailbind at `base_url` to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "apiDefinition.swagger.json").write_text(json.dumps(definition(base_url), indent=2) + "\n")
    (folder / "icon.png").write_bytes(icon())
    for name in ("apiProperties.json", "apiProperties.entra.json"):
        shutil.copyfile(HERE / name, folder / name)


def main() -> None:
    """Read the command line and write the files."""
    parser = argparse.ArgumentParser(prog="python -m infra.connector", description=__doc__)
    parser.add_argument("base_url", nargs="?", default="https://mailbind.example", help="the address of your Mailbind")
    parser.add_argument("--folder", type=Path, default=Path(".local/connector"), help="the folder for the files")
    arguments = parser.parse_args()
    if urlsplit(arguments.base_url).scheme != "https":
        parser.error("the address must start with https, because Power Platform calls nothing else")
    build(arguments.folder, arguments.base_url)
    print(f"The connector is in {arguments.folder}")  # noqa: T201 - a command prints its result


if __name__ == "__main__":
    main()
