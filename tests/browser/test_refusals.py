"""Every refusal's page, with everything that one can offer, can be read and used on a phone."""

from collections.abc import Mapping
from typing import Any

from playwright.async_api import Page

from shared.browser.pages import refusal_page
from shared.domain.invited_mailbox import ComparedAddresses
from shared.domain.remedy import Reader, remedies
from shared.ports import App
from shared.usecases.sign_in.outcome import CarriedField
from tests.browser.conftest import WIDTHS, faults_of

OFFERS: Mapping[str, Any] = {
    "email": "the-mailbox-of-a-department-with-a-long-name@contoso.example",
    "registration_id": "registration",
    "app_id": "app",
    "confirmation": "confirmation",
    "keep": CarriedField("registration", "keep"),
    "finish": CarriedField("registration", "finish"),
    "look": CarriedField("registration", "look"),
    "compared": ComparedAddresses("support@contoso.example", "alice@contoso.example"),
    "consent_url": "https://login.example/",
    "back_url": "https://myapp.example/",
    "site": "myapp.example",
}


async def test_every_refusal_can_be_read_and_used(page: Page, instance: App) -> None:
    await page.set_viewport_size({"width": min(WIDTHS), "height": 800})
    for code, texts in remedies(Reader.PERSON).items():
        await page.set_content(refusal_page(instance, code, **OFFERS).get_body().decode())

        assert texts.title == await page.locator("h1").text_content()
        assert [] == await faults_of(page), code
