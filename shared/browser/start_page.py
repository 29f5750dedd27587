"""GET /: the page at the address of the app itself. It says what runs here and how it is, and leads on.

Anybody may see it, so it shows nothing that is not public: no mailbox, no person, no link to sign in. A local run names
its sample app in the settings, and the page links to it; settings with a public address refuse that.
"""

import azure.functions as func

from shared.browser import sign_in_pages
from shared.browser.pages import page
from shared.http.operations import Resource
from shared.http.responses import HTML
from shared.ports import App, Health
from shared.usecases.upkeep.statistics import read_health

resource = Resource(sign_in_pages.resource.tag, sign_in_pages.resource.about)


@resource.get("/", media_type=HTML)
async def get_start_page(app: App) -> func.HttpResponse:
    """Open the start page.

    Says what runs at this address and whether it is healthy, and links to the API reference. The status is 200 even
    when storage is down: monitors should read GetHealth.
    """
    return page(app, "start", health=_word(await read_health(app)), sample_app=app.config.sample_app)


def _word(health: Health) -> str:
    if health.storage is not None:
        return "down"
    return "healthy" if health.success else "degraded"
