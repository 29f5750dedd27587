"""A look at the start page, and at the pages of the local run: those of the tenant and of the sample app."""

from collections.abc import Awaitable, Callable, Iterator
from urllib.parse import urlencode

import httpx
import pytest
from playwright.async_api import Page, expect

from infra.local.environment import Environment
from infra.local.sample_app.app import SampleApp, sample_app
from infra.local.sample_app.server import SampleServer
from tests.browser.test_journey import go_to_microsoft, sign_in
from tests.environments import StartApp
from tests.journey.conftest import Tenant, ask

type NewPerson = Callable[..., str]
type Shot = Callable[[Page, str], Awaitable[None]]


async def test_tenant_pages_fit_a_phone_and_both_colour_schemes(
    page: Page, api: httpx.Client, person: NewPerson, tenant: Tenant, environment: Environment, shot: Shot
) -> None:
    who = person()
    tenant.do("person", upn=who, consented=False)
    await go_to_microsoft(page, ask(api)["url"])
    await shot(page, "tenant picker")

    await sign_in(page, who)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Permissions requested")
    await shot(page, "tenant consent")

    tenant.do("person", upn=who, adminConsentRequired=True)
    await go_to_microsoft(page, ask(api)["url"])
    await sign_in(page, who)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Need admin approval")
    await shot(page, "tenant approval")

    ready = environment.tenant.ready
    await page.goto(f"{ready['url']}/{ready['tenantId']}/oauth2/v2.0/authorize?client_id=unknown")
    await shot(page, "tenant error")
    app = urlencode({"client_id": ready["clientId"], "redirect_uri": f"{environment.base_url}/oauth"})
    await page.goto(f"{ready['url']}/{ready['tenantId']}/adminconsent?{app}")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("review for your organization")
    await shot(page, "tenant admin consent")
    await page.goto(f"{ready['url']}/{ready['tenantId']}/oauth2/v2.0/logout")
    await shot(page, "tenant signed out")


async def test_start_page_of_a_deployment(page: Page, environment: Environment, shot: Shot) -> None:
    await page.goto(environment.base_url)

    await expect(page.get_by_role("heading", level=1)).to_have_text("Mailbind runs here")
    await shot(page, "start page")


@pytest.fixture(scope="module")
def app(start_app: StartApp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleApp]:
    """The sample app beside a Mailbind whose start page leads to it, as in `make run`."""
    token_file = tmp_path_factory.mktemp("sample-app") / "token.json"
    with (
        SampleServer() as server,
        start_app(MAILBIND_SAMPLE_APP=server.origin, MAILBIND_OAUTH_CREDENTIAL_REUSE="true") as environment,
        sample_app(environment, server.origin, token_file) as server.app,
        server.serving(),
    ):
        yield server.app


async def test_local_run_leads_from_the_start_page_to_two_mailboxes(page: Page, app: SampleApp, shot: Shot) -> None:
    await page.goto(app.base_url)
    await shot(page, "start page local")
    await page.get_by_role("link", name="Open the sample app").click()
    await shot(page, "sample app")

    await page.goto(app.base_url)
    await page.get_by_role("link", name="Connect a sample mailbox").click()
    await expect(page.locator("main")).to_contain_text("Sample app (this computer)")
    await expect(page.locator("main")).not_to_contain_text("127.0.0.1")
    await shot(page, "confirm by the sample app")
    await page.get_by_role("button", name="Continue to Microsoft").click()
    await page.locator("button[name=login][value='alice@contoso.example']").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("support@contoso.example is connected")
    await shot(page, "sample app connected")

    await page.get_by_role("link", name="sales@contoso.example").click()
    await page.get_by_role("button", name="Continue to Microsoft").click()
    await page.locator("button[name=login][value='alice@contoso.example']").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("sales@contoso.example is connected")

    await page.goto(f"{app.origin}/connect")
    await page.get_by_role("button", name="Continue to Microsoft").click()
    await page.locator("button[name=cancel]").click()
    await page.get_by_role("link", name="Go back").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("The mailbox was not connected")
    await shot(page, "sample app cancelled")
