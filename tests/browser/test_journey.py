"""The journey in a real browser, and a look at every page that people see."""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace

import httpx
import pytest
from playwright.async_api import Page, expect

from infra.local.environment import Environment
from infra.local.visitor import Visitor
from shared.ports import App
from tests.environments import StartApp
from tests.journey.conftest import Tenant, ask, bind, status

type NewPerson = Callable[..., str]
type Shot = Callable[[Page, str], Awaitable[None]]


async def go_to_microsoft(page: Page, link: str) -> None:
    await page.goto(link)
    await page.get_by_role("button", name="Continue to Microsoft").click()
    await page.wait_for_selector("button[name=login], button[name=cancel]")


async def sign_in(page: Page, who: str) -> None:
    """Press the person's button; who does not fit into the picker is put on the button of one who does."""
    await page.evaluate("who => { document.querySelector('button[name=login]').value = who }", who)
    await page.locator("button[name=login]").first.click()


async def test_sign_in_goes_to_microsoft_and_back_to_the_caller(
    page: Page, api: httpx.Client, callers_page: str, shot: Shot
) -> None:
    asked = ask(api, name="Shared Account", redirectUrl=callers_page)
    await page.goto(asked["url"])
    await expect(page.get_by_role("heading", level=1)).to_have_text("Connect a shared mailbox")
    await expect(page.locator("main")).to_contain_text("support@contoso.example")
    await shot(page, "confirm")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Continue to Microsoft")).to_be_focused()
    await page.keyboard.press("Enter")

    await page.locator("button[name=login][value='alice@contoso.example']").click()

    await page.wait_for_url(f"{callers_page}&account={asked['account']}&state=new")
    await expect(page.get_by_role("heading")).to_have_text("Welcome back")
    assert "completed" == status(api, asked)["status"]
    assert "alice@contoso.example" == api.get(f"/v1/account/{asked['account']}/oauth-token").json()["user"]
    api.delete(f"/v1/account/{asked['account']}")


async def test_two_tabs_of_a_new_browser_both_reach_microsoft(page: Page, api: httpx.Client) -> None:
    """Without a cookie each gets one, and the browser keeps the later one: as if both were asked for at once."""
    first, second = ask(api)["url"], ask(api)["url"]
    other = await page.context.new_page()
    await page.goto(first)
    await page.context.clear_cookies()
    await other.goto(second)

    for tab in (page, other):
        await tab.get_by_role("button", name="Continue to Microsoft").click()
        await tab.wait_for_selector("button[name=login], button[name=cancel]")


async def test_success_is_shown_when_the_callers_page_fails(
    page: Page, api: httpx.Client, person: NewPerson, callers_page: str, shot: Shot
) -> None:
    await page.route("**/done?**", lambda route: route.fulfill(status=204))
    await go_to_microsoft(page, ask(api, redirectUrl=callers_page)["url"])
    await sign_in(page, person())

    await expect(page.get_by_role("heading", level=1)).to_have_text("Mailbox connected")
    await expect(page.get_by_role("link")).to_have_text("Go back to " + callers_page.split("/")[2])
    await shot(page, "bound")


async def test_no_access_page_offers_three_ways_on(
    page: Page, api: httpx.Client, person: NewPerson, callers_page: str, shot: Shot
) -> None:
    stranger, right = person(access=False), person()
    asked = ask(api, redirectUrl=callers_page)
    await go_to_microsoft(page, asked["url"])
    await sign_in(page, stranger)
    await expect(page.get_by_role("heading", level=1)).to_have_text("You do not have access yet")
    await expect(page.get_by_role("button")).to_have_text(["Keep checking", "Sign in with another account"])
    await shot(page, "refused no_mailbox_access")

    await page.get_by_role("link", name="Go back").click()
    await page.wait_for_url("**/done?x=1&account=*&error=no_mailbox_access&error_description=*")
    await go_to_microsoft(page, asked["url"])
    await sign_in(page, right)

    await page.wait_for_url("**state=new")


async def test_page_says_what_is_replaced_and_what_is_granted(
    page: Page, api: httpx.Client, person: NewPerson, visitor: Visitor, shot: Shot
) -> None:
    who = person()
    changes = {"account": bind(api, visitor, who), "allowPrincipalChange": True, "changeMailbox": True}
    asked = ask(api, email="sales@contoso.example", **changes)

    await page.goto(asked["url"])

    await expect(page.locator(".notice")).to_contain_text(
        f"This replaces support@contoso.example: the account {changes['account']} currently opens it"
        f" with the sign-in of {who}"
    )
    await expect(page.locator("main")).to_contain_text("every mailbox that you may open, your own included")
    await expect(page.locator("main")).to_contain_text("it is not limited to sales@contoso.example")
    await shot(page, "confirm replacing")
    api.delete(f"/v1/authentication/form/{asked['registration']}")
    await page.reload()
    await expect(page.get_by_role("heading", level=1)).to_have_text("This link has been cancelled")
    await shot(page, "link cancelled")


async def test_keep_checking_takes_one_click(page: Page, api: httpx.Client, person: NewPerson, shot: Shot) -> None:
    asked = ask(api)
    await go_to_microsoft(page, asked["url"])
    await sign_in(page, person(access=False))

    await page.get_by_role("button", name="Keep checking").click()

    await expect(page.get_by_role("heading", level=1)).to_have_text("Waiting for access")
    await shot(page, "waiting for access")
    assert "waitingForAccess" == status(api, asked)["status"]
    await page.goto(asked["url"])
    await expect(page.locator(".notice")).to_contain_text("still checking")
    await shot(page, "confirm while waiting")


async def post(page: Page, address: str, fields: Mapping[str, str]) -> None:
    """Send a form from this browser that another one was given."""
    inputs = "".join(f'<input name="{name}" value="{value}">' for name, value in fields.items())
    await page.set_content(f'<form method="post" action="{address}">{inputs}<button>x</button>')
    await page.get_by_role("button").click()


async def test_only_the_first_browser_can_finish_a_sign_in(
    page: Page,
    other_page: Page,
    api: httpx.Client,
    person: NewPerson,
    environment: Environment,
    callers_page: str,
    shot: Shot,
) -> None:
    asked, who, caught = ask(api, redirectUrl=callers_page), person(), {}

    async def catch(route, request) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001 - Playwright's handler
        caught["form"] = dict(httpx.QueryParams(request.post_data))
        await route.abort()

    await page.route("**/oauth", catch)
    await go_to_microsoft(page, asked["url"])
    await sign_in(page, who)
    await page.wait_for_timeout(300)
    await other_page.goto(asked["url"])
    await post(other_page, f"{environment.base_url}/oauth", caught["form"])

    await expect(other_page.get_by_role("heading", level=1)).to_have_text("This sign-in began in another browser")
    await expect(other_page.locator(".notice")).to_have_text("Open the link again in this browser and stay in it.")
    await expect(other_page.get_by_role("button")).to_have_count(0)
    await shot(other_page, "refused browser_mismatch")
    assert "opened" == status(api, asked)["status"]
    await page.unroute("**/oauth")
    await page.goto(asked["url"])
    await post(page, f"{environment.base_url}/oauth", caught["form"])
    await page.wait_for_url("**state=new")
    assert "completed" == status(api, asked)["status"]


async def test_another_browser_cannot_submit_the_page(
    page: Page, other_page: Page, api: httpx.Client, environment: Environment
) -> None:
    asked = ask(api)
    await page.goto(asked["url"])
    names = ("registration", "confirmation")
    shown = {name: await page.locator(f"input[name={name}]").input_value() for name in names}
    await other_page.goto(asked["url"])

    await post(other_page, f"{environment.base_url}/accounts/new", shown)

    await expect(other_page.get_by_role("heading", level=1)).to_have_text("This sign-in began in another browser")


async def test_cookie_is_hidden_from_scripts_and_other_hosts(
    page: Page, api: httpx.Client, environment: Environment
) -> None:
    await page.goto(ask(api)["url"])

    (cookie,) = await page.context.cookies(environment.base_url)

    assert ("__Host-mailbind", "/", "127.0.0.1") == (cookie["name"], cookie["path"], cookie["domain"])
    assert (True, True, "None", -1) == (cookie["secure"], cookie["httpOnly"], cookie["sameSite"], cookie["expires"])
    assert "" == await page.evaluate("document.cookie")


@pytest.fixture(scope="module")
def strict(start_app: StartApp) -> Iterator[Environment]:
    """An environment that answers one page a minute."""
    with start_app(MAILBIND_PAGES_PER_MINUTE="1") as running:
        yield running


async def test_page_over_the_rate_limit_says_to_wait(page: Page, strict: Environment, shot: Shot) -> None:
    for _ in range(3):
        await page.goto(f"{strict.base_url}/accounts/new?ticket=x")

    await expect(page.get_by_role("heading", level=1)).to_have_text("Too many requests")
    await shot(page, "refused too many requests")


async def test_each_refusal_has_its_own_page(
    page: Page,
    api: httpx.Client,
    person: NewPerson,
    tenant: Tenant,
    environment: Environment,
    shot: Shot,
) -> None:
    first, second = person(), person()
    with Visitor(environment.tenant.ready["caFile"]) as visitor:
        account = bind(api, visitor, first)

    async def refusal(title: str, code: str, who: str | None, **asked: object) -> None:
        await go_to_microsoft(page, ask(api, **asked)["url"])
        await (sign_in(page, who) if who else page.locator("button[name=cancel]").click())
        await expect(page.get_by_role("heading", level=1)).to_have_text(title)
        await expect(page.locator("footer")).to_contain_text(code)
        await shot(page, f"refused {code}")

    await refusal("This account already authorizes another mailbox", "principal_in_use", first)
    await refusal("Another person authorizes this mailbox", "wrong_principal", second, account=account)
    await refusal("This link is for another person", "unexpected_person", second, expectedEmail=first)
    await refusal("That is your own mailbox", "own_mailbox", second, email=second)
    await refusal("That is not your own mailbox", "email_mismatch", second, delegated=False)
    await refusal("The sign-in was cancelled", "access_denied", None)
    tenant.do("fail", endpoint="token", failure="7000222", times=1)
    await refusal("Microsoft rejects this service's credential", "app_credential", second)
    tenant.do("outage", endpoint="token", mode="503")
    await refusal("Microsoft's sign-in service does not answer", "entra_unavailable", second)
    tenant.do("outage", endpoint="token", mode="none")
    tenant.do("id-token", claims={"exp": 1}, times=1)
    await refusal("The sign-in could not be verified", "id_token_invalid", second)


async def test_page_says_that_mailbind_waits_for_graph(
    page: Page, api: httpx.Client, person: NewPerson, tenant: Tenant, shot: Shot
) -> None:
    who = person()
    tenant.do("outage", endpoint="graph", mode="503")
    await go_to_microsoft(page, ask(api)["url"])
    await sign_in(page, who)

    await expect(page.get_by_role("heading", level=1)).to_have_text("Waiting for Microsoft 365")
    await shot(page, "waiting for graph")


async def test_page_leads_administrators_to_consent(
    page: Page, api: httpx.Client, person: NewPerson, tenant: Tenant, shot: Shot
) -> None:
    who = person()
    tenant.do("person", upn=who, consented=False, adminConsentRequired=True)
    await go_to_microsoft(page, ask(api)["url"])
    await sign_in(page, who)
    await page.locator("button[name=consent][value=return]").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("An administrator must consent first")
    await shot(page, "refused needs_admin_consent")

    await page.get_by_role("link", name="Consent as an administrator").click()
    await page.locator("button[name=consent][value=decline]").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Consent was not given")
    await shot(page, "refused consent_declined")

    await page.get_by_role("link", name="Consent as an administrator").click()
    await page.locator("button[name=consent][value=accept]").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Consent was given")
    await shot(page, "consented")

    await page.get_by_role("button", name="Continue to Microsoft").click()
    await expect(page).to_have_url(re.compile("oauth2/v2.0/authorize"))


async def test_unusable_links_say_why(
    page: Page, api: httpx.Client, person: NewPerson, environment: Environment, instance: App, shot: Shot
) -> None:
    asked = ask(api)
    await page.goto(f"{environment.base_url}/accounts/new?ticket=broken")
    await expect(page.get_by_role("heading", level=1)).to_have_text("This link is not valid")
    await shot(page, "link unknown")
    with Visitor(environment.tenant.ready["caFile"]) as visitor:
        visitor.follow(asked["url"], person())

    await page.goto(asked["url"])

    await expect(page.get_by_role("heading", level=1)).to_have_text("This link has been used")
    await shot(page, "link used")

    replaced = ask(api)
    ask(api, account=replaced["account"])
    await page.goto(replaced["url"])
    await expect(page.get_by_role("heading", level=1)).to_have_text("A newer link was made")
    await shot(page, "link replaced")

    late = ask(api)
    stored = await instance.stores.registrations.get(late["registration"])
    assert stored
    await instance.stores.registrations.replace(stored, replace(stored.value, expires=instance.clock()))
    await page.goto(late["url"])
    await expect(page.get_by_role("heading", level=1)).to_have_text("This link has expired")
    await shot(page, "link expired")
