"""Many mailboxes through one sign-in, in a real browser, and a look at every page of it."""

from collections.abc import Awaitable, Callable

from playwright.async_api import Page, expect

from tests.browser.test_journey import go_to_microsoft, sign_in
from tests.journey.many import BOARD, SALES, SUPPORT, Many

type Shot = Callable[[Page, str], Awaitable[None]]


async def test_page_lists_bound_and_refused_mailboxes(page: Page, many: Many, callers_page: str, shot: Shot) -> None:
    who = many.person(SUPPORT, SALES)
    asked, (support, sales, board) = many.ask(SUPPORT, SALES, BOARD, redirectUrl=callers_page)
    await page.goto(asked["url"])
    await expect(page.get_by_role("heading", level=1)).to_have_text("Connect shared mailboxes")
    await expect(page.locator("main")).to_contain_text("asks you to connect 3 mailboxes with one sign-in")
    await expect(page.get_by_role("list").first.get_by_role("listitem")).to_have_text([SUPPORT, SALES, BOARD])
    await shot(page, "many confirm")
    await go_to_microsoft(page, asked["url"])
    await sign_in(page, who)

    await expect(page.get_by_role("heading", level=1)).to_have_text("2 of 3 mailboxes connected")
    await expect(page.get_by_role("region", name="You do not have access yet")).to_contain_text(BOARD)
    await expect(page.get_by_role("button")).to_have_text(["Keep checking", "Sign in with another account"])
    await shot(page, "many results")
    assert ["completed", "new", "new", "no_mailbox_access"] == many.states(asked)

    await page.get_by_role("button", name="Keep checking").click()
    await expect(page.get_by_role("heading", level=2)).to_have_text(["Connected", "Waiting for access"])
    await shot(page, "many waiting")
    await page.get_by_role("link", name="Go back").click()
    await page.wait_for_url(
        f"{callers_page}&registration={asked['registration']}&state=waitingForAccess"
        f"&accounts={support}&accounts={sales}&waiting={board}"
    )


async def test_another_person_connects_the_remaining_mailboxes(
    page: Page, other_page: Page, many: Many, callers_page: str, shot: Shot
) -> None:
    asked, accounts = many.ask(SUPPORT, SALES, BOARD, redirectUrl=callers_page)
    await go_to_microsoft(page, asked["url"])
    await sign_in(page, many.person())
    await expect(page.get_by_role("heading", level=1)).to_have_text("No mailbox connected")
    await shot(page, "many none")
    await other_page.route("**/done?**", lambda route: route.fulfill(status=204))
    await go_to_microsoft(other_page, asked["url"])

    await sign_in(other_page, many.person(SUPPORT, SALES, BOARD))

    await expect(other_page.get_by_role("heading", level=1)).to_have_text("3 mailboxes connected")
    await shot(other_page, "many bound")
    assert [200, 200, 200] == [many.token(account).status_code for account in accounts]


async def test_fifty_mailboxes_are_readable(page: Page, many: Many, shot: Shot) -> None:
    shared = [f"shared-mailbox-number-{number:02}@contoso.example" for number in range(49)]
    asked, _ = many.ask(SUPPORT, *shared)
    await page.goto(asked["url"])
    await shot(page, "many confirm fifty")
    await expect(page.get_by_text(shared[0])).to_be_visible()
    await expect(page.get_by_text(shared[48])).to_be_hidden()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text(shared[48])).to_be_visible()

    await go_to_microsoft(page, asked["url"])
    await sign_in(page, many.person(SUPPORT))

    heading = page.get_by_role("heading", level=1)
    await expect(heading).to_have_text("1 of 50 mailboxes connected", timeout=30_000)
    await shot(page, "many results fifty")
