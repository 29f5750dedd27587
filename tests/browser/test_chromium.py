"""The choice of the browser: what is tried, in which order, and what a person reads if none starts."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.async_api import Playwright

from infra.local.parts import ROOT
from tests.browser.chromium import NoBrowserStarts, candidates, launch, start_playwright


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A computer without a browser: nothing is on the path, and Playwright has downloaded nothing."""
    monkeypatch.delenv("MAILBIND_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "downloads"))
    return tmp_path


@pytest.fixture
async def real() -> str:
    """The path of the browser of this computer."""
    async with start_playwright() as playwright:
        return next(path for path in candidates(playwright) if shutil.which(path))


def step(**variables: str) -> subprocess.CompletedProcess[str]:
    """The step of `make test`, where nothing can be downloaded."""
    return subprocess.run(
        [sys.executable, "-m", "tests.browser.chromium"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PLAYWRIGHT_DOWNLOAD_HOST": "http://127.0.0.1:9"} | variables,
    )


@pytest.mark.usefixtures("empty")
def test_without_any_browser_one_line_says_what_to_do() -> None:
    failed = step()

    assert 1 == failed.returncode
    assert failed.stdout.startswith("Downloading Chromium for the tests")
    assert failed.stderr == (
        "make test: no browser starts: install one (`sudo apt-get install chromium`), "
        "or set MAILBIND_CHROMIUM to a Chromium\n"
    )


@pytest.mark.parametrize("chosen", ["/nowhere/chromium", sys.executable])
def test_a_chosen_browser_that_does_not_start_is_named(chosen: str) -> None:
    """Even if another one would start, and without a download."""
    failed = step(MAILBIND_CHROMIUM=chosen)

    assert (1, "") == (failed.returncode, failed.stdout)
    assert failed.stderr == (
        f"make test: MAILBIND_CHROMIUM is {chosen}, which does not start: set it to a Chromium that does, or unset it\n"
    )


def test_the_step_says_which_browser_the_tests_use(real: str) -> None:
    passed = step(MAILBIND_CHROMIUM=real)

    assert (0, "") == (passed.returncode, passed.stderr)
    assert passed.stdout.startswith("The browser tests use Chromium ")


async def test_a_browser_that_does_not_start_is_passed_over(real: str, empty: Path) -> None:
    """As Ubuntu's chromium-browser, which only says that a snap is needed."""
    (empty / "chromium-browser").write_text("#!/bin/sh\nexit 1\n")
    (empty / "chromium-browser").chmod(0o755)
    (empty / "google-chrome").symlink_to(real)

    async with start_playwright() as playwright, await launch(playwright) as browser:
        assert browser.is_connected()


async def test_what_playwright_downloaded_is_used(real: str, empty: Path) -> None:
    async with start_playwright() as playwright:
        downloaded(playwright, empty).symlink_to(real)
        async with await launch(playwright) as browser:
            assert browser.is_connected()


async def test_a_download_that_does_not_start_lacks_libraries(empty: Path) -> None:
    async with start_playwright() as playwright:
        downloaded(playwright, empty).write_text("#!/bin/sh\nexit 127\n")
        with pytest.raises(NoBrowserStarts, match=r"sudo \.venv/bin/playwright install-deps chromium"):
            await launch(playwright)


def downloaded(playwright: Playwright, folder: Path) -> Path:
    """Where Playwright puts its browser; its folder exists."""
    path = Path(playwright.chromium.executable_path)
    assert path.is_relative_to(folder)
    path.parent.mkdir(parents=True)
    return path
