"""Promises of the API reference, in Chromium."""

from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Browser, Page, expect

from infra.local.environment import Environment
from tests.browser.conftest import WIDTHS

type Shot = Callable[[Page, str], Awaitable[None]]

OPEN_ALL = "document.querySelectorAll('details').forEach(folded => { folded.open = true })"


async def test_links_open_the_folded_operation(page: Page, environment: Environment) -> None:
    await page.goto(f"{environment.base_url}/docs")
    await expect(page.locator("#GetRegistration")).to_be_hidden()

    await page.get_by_role("link", name="see when it was used").click()

    await expect(page.locator("#GetRegistration")).to_be_visible()
    await expect(page.get_by_role("heading", name="Get a registration")).to_be_in_viewport()


async def test_operations_open_without_scripts(browser: Browser, environment: Environment) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{environment.base_url}/docs#GetAccessToken")

    await expect(page.locator("#GetAccessToken")).to_contain_text("mailbox_changed")
    await expect(page.get_by_role("heading", name="Get an access token")).to_be_in_viewport()
    await context.close()


async def test_operations_open_by_the_keyboard(page: Page, environment: Environment) -> None:
    await page.goto(f"{environment.base_url}/docs")
    await page.get_by_role("link", name="Types").focus()
    await page.keyboard.press("Tab")

    await page.keyboard.press("Enter")

    await expect(page.locator("#StartRegistration")).to_contain_text("redirectUrl")
    without_effect = page.locator("#StartRegistration").get_by_text("syncFrom", exact=True)
    await expect(without_effect).to_be_hidden()
    await page.locator("#StartRegistration").get_by_text("Fields without effect").click()
    await expect(without_effect).to_be_visible()


@pytest.mark.parametrize("width", WIDTHS)
async def test_contents_are_seen_whole(page: Page, environment: Environment, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 720})
    await page.goto(f"{environment.base_url}/docs")
    contents = page.get_by_role("navigation", name="Contents")

    # Centred: a page scrolls by whole pixels, so contents that begin between two of them would be cut at the edge.
    await contents.evaluate("it => it.scrollIntoView({ block: 'center' })")

    await expect(contents).to_be_in_viewport(ratio=1)
    assert await contents.evaluate("it => it.scrollHeight <= it.clientHeight")


async def test_contents_stay_beside_the_operations(page: Page, environment: Environment) -> None:
    await page.goto(f"{environment.base_url}/docs#errors")

    await expect(page.get_by_role("navigation", name="Contents")).to_be_in_viewport(ratio=1)


async def test_everything_can_be_read_when_unfolded(page: Page, environment: Environment, shot: Shot) -> None:
    await page.goto(f"{environment.base_url}/docs")
    await page.evaluate(OPEN_ALL)

    await shot(page, "reference")
