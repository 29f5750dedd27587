"""Chromium, and a caller's page for it to come back to."""

import http.server
import os
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright

from tests.browser.chromium import launch
from tests.journey.conftest import (  # noqa: F401 - fixtures
    api,
    instance,
    person,
    tenant,
    visitor,
)
from tests.journey.many import where_grants_serve_many  # noqa: F401 - a fixture

WIDTHS = (375, 1280)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        chromium = await launch(playwright)
        yield chromium
        await chromium.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A fresh browser profile; it is told to trust the tenant's own certificate."""
    context = await browser.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 900})
    yield await context.new_page()
    await context.close()


@pytest.fixture
async def other_page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context(ignore_https_errors=True)
    yield await context.new_page()
    await context.close()


class CallersPage(http.server.BaseHTTPRequestHandler):
    """The page of the app that asked for the link."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>My app</title><h1>Welcome back</h1>")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="session")
def callers_page() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), CallersPage)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/done?x=1"
    server.shutdown()
    server.server_close()


@pytest.fixture
def shot(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Page, str], Awaitable[None]]:
    """Takes a page's picture on a phone and on a screen, and fails when it has to be scrolled sideways.

    MAILBIND_SCREENSHOTS names a folder to keep the pictures in.
    """
    folder = Path(os.environ.get("MAILBIND_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    async def take(page: Page, name: str) -> None:
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 800})
            await page.screenshot(path=folder / f"{re.sub(r'[^a-z0-9]+', '-', name)}-{width}.png", full_page=True)
            wider = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert 0 == wider, f"{request.node.name}: {name} is too wide for {width} pixels"

    return take
