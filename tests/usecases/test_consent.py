"""The link to an administrator's consent."""

from urllib.parse import parse_qs, urlsplit

from shared.ports import App
from shared.usecases.sign_in.consent import consent_return, consent_url, is_consent_return
from shared.usecases.sign_in.link import LinkPage
from shared.usecases.sign_in.outcome import Refused
from tests.conftest import TENANT_ID
from tests.usecases.conftest import Register, ask, open_page


async def test_consent_is_never_asked_for_at_common(app: App, register: Register) -> None:
    oauth_app = await register(authority="common", tenants=(TENANT_ID,))
    page = await open_page(app, await ask(app, type=oauth_app))

    url = urlsplit(await consent_url(app, page) or "")

    assert "/organizations/adminconsent" == url.path
    assert {"client_id", "redirect_uri", "state"} == parse_qs(url.query).keys()


async def test_only_the_browser_that_asked_for_consent_goes_on(app: App) -> None:
    page, other = [await open_page(app, await ask(app)) for _ in range(2)]
    state = parse_qs(urlsplit(await consent_url(app, page) or "").query)["state"][0]
    given = {"admin_consent": "True", "state": state}

    returned = await consent_return(app, given, page.cookie)
    declined = await consent_return(app, {"error": "access_denied", "state": state}, page.cookie)

    assert is_consent_return(given)
    assert isinstance(returned, LinkPage)
    assert page.registration.id == returned.registration.id
    assert isinstance(declined, Refused)
    assert "consent_declined" == declined.code
    assert declined.again is not None
    for cookie in (None, other.cookie):
        assert None is await consent_return(app, given, cookie)
    assert None is await consent_return(app, {**given, "state": state + "A"}, page.cookie)
