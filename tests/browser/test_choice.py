"""Promises of the page on which people choose an OAuth app, in Chromium."""

from collections.abc import Awaitable, Callable

import httpx
from playwright.async_api import Page, expect

from tests.browser.test_journey import sign_in
from tests.journey.apps import ARCHIVE, GOOD
from tests.journey.conftest import ask

type NewPerson = Callable[..., str]
type Shot = Callable[[Page, str], Awaitable[None]]


async def test_person_signs_in_through_the_app_they_choose(
    page: Page, api: httpx.Client, person: NewPerson, callers_page: str, shot: Shot
) -> None:
    app = api.post("/v1/oauth2", json={**GOOD, "title": "the archive of Contoso"}).json()["id"]
    asked = ask(api, redirectUrl=callers_page)
    try:
        await page.goto(asked["url"])
        buttons = page.get_by_role("button")
        await expect(buttons).to_have_text(["Continue with Contoso mail", "Continue with the archive of Contoso"])
        await shot(page, "choose an app")

        await buttons.last.click()
        await page.wait_for_selector("button[name=login]")
        assert ARCHIVE in page.url
        await sign_in(page, person())
        await page.locator("button[name=consent][value=accept]").click()
        await page.wait_for_url(f"{callers_page}&account={asked['account']}&state=new")

        assert app == api.get(f"/v1/account/{asked['account']}/oauth-token").json()["app"]
    finally:
        api.delete(f"/v1/account/{asked['account']}")
        api.delete(f"/v1/oauth2/{app}", params={"force": "true"})
