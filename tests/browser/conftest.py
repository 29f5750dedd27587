"""Chromium, a caller's page for it to come back to, and a look at each page."""

import http.server
import itertools
import os
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import Browser, Page

from infra.local.parts import ROOT
from tests.browser.chromium import launch, start_playwright
from tests.journey.conftest import (  # noqa: F401 - fixtures
    api,
    instance,
    person,
    tenant,
    visitor,
)
from tests.journey.many import where_grants_serve_many  # noqa: F401 - a fixture

WIDTHS = (375, 1280)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
AXE = ROOT / "infra/local/node_modules/axe-core/axe.min.js"
FAULTS = """async () => {
    const found = await axe.run()
    const faults = found.violations.flatMap(({ id, nodes }) => nodes.map(node => [id, node.html, node.failureSummary]))
    const { scrollWidth, clientWidth } = document.documentElement
    return scrollWidth > clientWidth ? [...faults, `${scrollWidth} pixels wide`] : faults
}"""


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with start_playwright() as playwright:
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


async def faults_of(page: Page) -> list[Any]:
    """What keeps people from reading or using a page: what axe finds, and a page that has to be scrolled sideways."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE.read_text())
    faults: list[Any] = await page.evaluate(FAULTS)
    return faults


@pytest.fixture
def shot(request: pytest.FixtureRequest) -> Callable[[Page, str], Awaitable[None]]:
    """Looks at a page on a phone and on a screen, light and dark.

    Fails when it has faults. MAILBIND_SCREENSHOTS names a folder for pictures.
    """

    async def look(page: Page, name: str) -> None:
        for width, scheme in itertools.product(WIDTHS, SCHEMES):
            where = f"{request.node.name}: {name}, {width} pixels, {scheme}"
            await page.set_viewport_size({"width": width, "height": 800})
            await page.emulate_media(color_scheme=scheme)
            if folder := os.environ.get("MAILBIND_SCREENSHOTS"):
                file = f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}-{width}-{scheme}.png"
                await page.screenshot(path=Path(folder) / file, full_page=True)
            assert [] == await faults_of(page), where
        await page.emulate_media(color_scheme="light")

    return look
