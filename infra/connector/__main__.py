"""Makes the files that Power Platform imports: `python -m infra.connector https://mailbind.example`."""

import argparse
import json
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from infra.connector.definition import definition
from infra.connector.icon import icon

HERE = Path(__file__).parent


def build(folder: Path, base_url: str) -> None:
    """Write everything into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    made = json.dumps(definition(base_url), indent=2)
    (folder / "apiDefinition.swagger.json").write_text(made + "\n")
    (folder / "icon.png").write_bytes(icon())
    for name in ("apiProperties.json", "apiProperties.entra.json"):
        shutil.copyfile(HERE / name, folder / name)


def main() -> None:
    """Build for the address that is given."""
    parser = argparse.ArgumentParser(prog="python -m infra.connector", description=__doc__)
    parser.add_argument("base_url", nargs="?", default="https://mailbind.example", help="where your Mailbind is")
    parser.add_argument("--folder", type=Path, default=Path(".local/connector"), help="where the files go")
    given = parser.parse_args()
    if urlsplit(given.base_url).scheme != "https":
        parser.error("Power Platform calls https only")
    build(given.folder, given.base_url)
    print(f"The connector is in {given.folder}")  # noqa: T201 - a command talks to whoever runs it


if __name__ == "__main__":
    main()
