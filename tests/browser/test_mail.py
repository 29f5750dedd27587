"""A person connects a mailbox, and the sample app reads and answers its mail through confined access."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Page, expect

from infra.local.environment import Environment
from infra.local.sample_app.app import SampleApp, sample_app
from infra.local.sample_app.server import SampleServer
from tests.browser.test_journey import go_to_microsoft, sign_in
from tests.journey.conftest import Tenant

type Shot = Callable[[Page, str], Awaitable[None]]


@pytest.fixture
def sample(environment: Environment, tmp_path: Path) -> Iterator[SampleApp]:
    token_file = tmp_path / "token"
    with SampleServer() as server, sample_app(environment, server.origin, token_file) as server.app, server.serving():
        yield server.app


async def test_mail_is_read_and_answered_after_the_sign_in(
    page: Page, api: httpx.Client, tenant: Tenant, sample: SampleApp, person: Callable[..., str], shot: Shot
) -> None:
    name = person()
    tenant.do("access", person=name, mailbox="support@contoso.example", fullAccess=True, sendAs=True)
    await go_to_microsoft(page, f"{sample.origin}/connect")
    await sign_in(page, name)
    await page.get_by_role("link", name="Read its mail").click()

    messages = page.locator(".messages li")
    await expect(messages).to_have_count(10)
    await shot(page, "inbox")
    subject = await messages.first.get_by_role("link").inner_text()
    await messages.first.get_by_role("link").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(subject)
    await shot(page, "message")
    await page.get_by_label("Your answer").fill("Thank you, it is on its way.")
    await page.get_by_role("button", name="Reply").click()

    await expect(page.get_by_role("heading", level=1)).to_have_text("Sent Items")
    await expect(messages.first).to_contain_text(subject)
    await shot(page, "sent")
    (sent,) = tenant.events("mail sent")
    assert ("support@contoso.example", True) == (sent["from"], sent["saved"])
    api.delete("/v1/account/shared").raise_for_status()
