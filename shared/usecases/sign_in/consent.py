"""An administrator's consent for the whole organization: the link to it, and the return from it.

Entra returns to the redirect URI of sign-ins, with the `state` of the link (Entra: v2-admin-consent). Anyone can forge
a return, so it changes nothing and only decides on a page.
"""

from collections.abc import Mapping
from urllib.parse import urlencode

from shared.domain.formats import REGISTRATION_ID_PATTERN
from shared.domain.secret import Secret
from shared.domain.sign_in_refusal import SignInRefusal, sign_in_refusal
from shared.ports import App
from shared.usecases.sign_in.link import (
    LinkPage,
    UnusableLink,
    link_page,
    seal_for_browser,
    unseal_from_browser,
    usable_link,
)
from shared.usecases.sign_in.outcome import Refused

CONSENT_PURPOSE = "consent"
CONSENT_DECLINED = "consent_declined"
# Refusals that have a text of their own; any other error means that there is no consent.
REFUSALS_TO_SHOW = {SignInRefusal.APP_SETUP_SUSPECTED, SignInRefusal.BLOCKED_BY_POLICY, SignInRefusal.TRY_AGAIN}


async def consent_url(app: App, page: LinkPage) -> str | None:
    """The URL where an administrator consents to the page's OAuth app, and which leads back to the page's browser.

    `common` is not accepted there, because personal accounts cannot consent for an organization.
    """
    oauth_app = await app.oauth_apps.get(page.registration.app)
    if oauth_app is None:
        return None
    identity = page.registration.id
    sealed = await seal_for_browser(app, CONSENT_PURPOSE, identity, page.cookie, Secret(oauth_app.id))
    query = {
        "client_id": oauth_app.client_id,
        "redirect_uri": app.config.redirect_uri,
        "state": f"{CONSENT_PURPOSE}.{identity}.{sealed}",
    }
    tenant = "organizations" if oauth_app.tenant == "common" else oauth_app.tenant
    return f"{oauth_app.cloud.authority}/{tenant}/adminconsent?{urlencode(query)}"


def is_consent_return(answer: Mapping[str, str]) -> bool:
    """Whether this is no sign-in's answer: those always carry the state of their sign-in."""
    state = answer.get("state", "")
    return "admin_consent" in answer or state.startswith(f"{CONSENT_PURPOSE}.") or (not state and "error" in answer)


async def consent_return(app: App, answer: Mapping[str, str], cookie: Secret | None) -> LinkPage | Refused | None:
    """What a return from the consent link leads to.

    That is the link's page in this browser, None if consent was given but the link is another browser's or does not
    work any more, or a refusal.
    """
    page = await _page_of(app, answer.get("state", ""), cookie)
    if "error" not in answer:
        return page
    refusal = sign_in_refusal(answer)
    code = refusal.value if refusal in REFUSALS_TO_SHOW else CONSENT_DECLINED
    return Refused(code, page.registration if page else None, page)


async def _page_of(app: App, state: str, cookie: Secret | None) -> LinkPage | None:
    _, _, rest = state.partition(".")
    identity, _, sealed = rest.partition(".")
    if not REGISTRATION_ID_PATTERN.fullmatch(identity):
        return None
    oauth_app_id = await unseal_from_browser(app, CONSENT_PURPOSE, identity, cookie, sealed)
    if oauth_app_id is None:
        return None
    try:
        stored = await usable_link(app, identity)
    except UnusableLink:
        return None
    return await link_page(app, stored.value.via_app(oauth_app_id.reveal()), cookie)
