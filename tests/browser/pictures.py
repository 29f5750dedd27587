"""`make pictures` draws the pictures of README.md: the page that a sign-in link opens, and the page at the end."""

import asyncio
import tempfile
from pathlib import Path

import httpx
from playwright.async_api import Browser, Page, expect

from infra.local.caller import PERSON, SUPPORT, start_registration
from infra.local.environment import local_environment
from infra.local.parts import ROOT
from tests.browser.chromium import launch, start_playwright

FOLDER = ROOT / "docs/pictures"
WIDTH = 640
REDIRECT_URL = "https://myapp.example/account/settings.php"


async def draw(browser: Browser, link: str, person: str, folder: Path) -> None:
    """Follow the link to a mailbox as that person, and write the pictures of both pages to the folder."""
    context = await browser.new_context(ignore_https_errors=True, color_scheme="light")
    page = await context.new_page()
    # No caller answers, so the browser stays on the last page.
    await page.route(f"{REDIRECT_URL}?**", lambda route: route.fulfill(status=204))
    await page.goto(link)
    await _take(page, "Connect a shared mailbox", 980, folder / "confirm.png")
    await page.get_by_role("button", name="Continue to Microsoft").click()
    await page.locator(f"button[name=login][value='{person}']").click()
    await _take(page, "Mailbox connected", 480, folder / "connected.png")
    await context.close()


async def _take(page: Page, title: str, height: int, file: Path) -> None:
    """Take the picture of the page with this title. Raises AssertionError for another or a higher page."""
    await page.set_viewport_size({"width": WIDTH, "height": height})
    await expect(page.get_by_role("heading", level=1)).to_have_text(title)
    await expect(page.locator("main")).to_be_in_viewport(ratio=1)
    await page.screenshot(path=file)


async def main() -> None:
    """Draw the pictures with a local environment of their own."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, local_environment(Path(folder)) as environment:
        headers = {"Authorization": f"Bearer {environment.secrets.admin_token}"}
        with httpx.Client(base_url=environment.base_url, headers=headers) as api:
            link = start_registration(api, SUPPORT, REDIRECT_URL)["url"]
        async with start_playwright() as playwright, await launch(playwright) as browser:
            await draw(browser, link, PERSON, FOLDER)


if __name__ == "__main__":
    asyncio.run(main())
