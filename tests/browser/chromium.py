"""The browser of the tests. `python -m tests.browser.chromium`, a step of `make test`, installs one if none starts."""

import asyncio
import os
import shutil
import subprocess
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from playwright.async_api import Browser, Error, Playwright, async_playwright

from infra.local.azurite import NODE
from infra.local.parts import ROOT

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Without these, Chromium looks for Google's hosts at every start.
QUIET = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
LOG = ROOT / ".local/chromium.log"


class NoBrowserStarts(Exception):
    """The text says what to do, in one line."""


def start_playwright() -> AbstractAsyncContextManager[Playwright]:
    """Playwright on the Node.js of the local parts: its own needs libatomic, which small machines lack."""
    os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", str(NODE))
    return async_playwright()


async def launch(playwright: Playwright) -> Browser:
    """Start the first browser that starts. Raises NoBrowserStarts, caused by Playwright's error."""
    failure = None
    for path in candidates(playwright):
        try:
            return await playwright.chromium.launch(executable_path=path, args=QUIET)
        except Error as error:
            failure = error
    raise NoBrowserStarts(advice(Path(playwright.chromium.executable_path))) from failure


def candidates(playwright: Playwright) -> list[str]:
    """The browser that MAILBIND_CHROMIUM names, or else those on the path and then the one that Playwright installs."""
    if chosen := os.environ.get("MAILBIND_CHROMIUM"):
        return [shutil.which(chosen) or chosen]
    return [*filter(None, map(shutil.which, NAMES)), playwright.chromium.executable_path]


def advice(downloaded: Path) -> str:
    """What to do if no browser starts. `downloaded` is where Playwright installs its own."""
    if chosen := os.environ.get("MAILBIND_CHROMIUM"):
        return f"MAILBIND_CHROMIUM is {chosen}, which does not start: set it to a Chromium that does, or unset it"
    if downloaded.is_file():
        return "the downloaded Chromium does not start: run `sudo .venv/bin/playwright install-deps chromium`"
    return "no browser starts: install one (`sudo apt-get install chromium`), or set MAILBIND_CHROMIUM to a Chromium"


def installations() -> dict[str, list[list[str]]]:
    """Ways to install a browser, best first, each as commands. None if MAILBIND_CHROMIUM names one."""
    if os.environ.get("MAILBIND_CHROMIUM"):
        return {}
    playwright = [sys.executable, "-m", "playwright"]
    download = [*playwright, "install", "--no-shell", "chromium"]
    if os.geteuid() or not (apt := shutil.which("apt-get")):
        return {"Downloading Chromium": [download]}
    package = [apt, "install", "--yes", "--no-install-recommends", "chromium", "fonts-dejavu-core"]
    return {
        # As `playwright install --with-deps chromium`, but without the libraries if there is nothing to download.
        "Downloading Chromium": [download, [*playwright, "install-deps", "chromium"]],
        "Installing the distribution's Chromium": [[apt, "update"], package],
    }


def install(commands: list[list[str]]) -> None:
    """Run the commands without questions, until one fails. Whether they helped shows when the browser is started."""
    LOG.parent.mkdir(mode=0o700, exist_ok=True)
    quietly = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with LOG.open("a") as log:
        for command in commands:
            run = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=quietly)  # noqa: S603 - installers
            if run.returncode:
                break


async def version() -> str:
    """The version of the browser that starts. Raises NoBrowserStarts."""
    async with start_playwright() as playwright, await launch(playwright) as browser:
        return browser.version


def main() -> None:
    """Start a browser, and install one first if none starts. Exits with what to do if that does not help."""
    ways = list(installations().items())
    while True:
        try:
            print(f"The browser tests use Chromium {asyncio.run(version())}.")
        except NoBrowserStarts as failure:
            if not ways:
                sys.exit(f"make test: {failure}")
            title, commands = ways.pop(0)
            print(f"{title} for the tests (log: {LOG.relative_to(ROOT)}) ...", flush=True)
            install(commands)
        else:
            return


if __name__ == "__main__":
    main()
