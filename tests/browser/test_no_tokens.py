"""What people read when the caller gets no access tokens, in Chromium."""

import re
from collections.abc import Awaitable, Callable

import httpx
from playwright.async_api import Page, expect

from tests.browser.test_journey import go_to_microsoft, sign_in
from tests.journey.callers import bearer

type NewPerson = Callable[..., str]
type Shot = Callable[[Page, str], Awaitable[None]]

SENTENCE = (
    "contoso-app can read and send mail of support@contoso.example through Mailbind; it never receives your permission."
)


async def test_person_reads_that_the_caller_gets_no_permission(
    page: Page, api: httpx.Client, person: NewPerson, callers_page: str, shot: Shot
) -> None:
    wish = {"description": "contoso-app", "scopes": ["register"]}
    caller, account = api.post("/v1/token", json=wish).json(), "without-tokens"
    form = {"account": account, "email": "support@contoso.example", "delegated": True, "redirectUrl": callers_page}
    asked = api.post("/v1/authentication/form", json={**form, "handOut": False}, headers=bearer(caller["token"]))
    await page.goto(asked.json()["url"])

    await expect(page.get_by_role("paragraph").filter(has_text="contoso-app")).to_have_text(SENTENCE)
    await expect(page.get_by_role("main")).to_contain_text("Signing in lets Mailbind:")
    await expect(page.get_by_role("main")).not_to_contain_text("receives this access")
    await shot(page, "confirm without tokens")
    await go_to_microsoft(page, asked.json()["url"])
    await sign_in(page, person())
    await page.wait_for_url(re.compile(f"account={account}&state=new"))

    assert "hand_out_disabled" == api.get(f"/v1/account/{account}/oauth-token").json()["code"]
    api.delete(f"/v1/account/{account}")
    api.delete(f"/v1/token/{caller['id']}")
