"""GET and POST /v1/settings: the global target of events, in EmailEngine's words."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import azure.functions as func

from shared.domain.audit import Action
from shared.domain.caller import Caller, Scope
from shared.domain.event import EventName
from shared.domain.secret import MASK, Secret
from shared.domain.webhook import ALL_EVENTS, GLOBAL_WEBHOOK_ID, Webhook, is_target_url
from shared.http.callers import Callers, for_callers
from shared.http.responses import answer
from shared.http.routes import Routes
from shared.ports import Webhooks
from shared.triggers.fields import Fields, read_object
from shared.triggers.webhooks import LONGEST_URL, read_secret
from shared.usecases.events.webhooks import SettingsWish

# Names that EmailEngine's callers have in their settings and that nothing here is about; they are taken.
ABOUT_MAIL = {
    *("messageNew", "messageDeleted", "messageUpdated", "messageMissing", "messageSent", "messageDeliveryError"),
    *("messageFailed", "messageBounce", "messageComplaint", "mailboxReset", "mailboxDeleted", "mailboxNew"),
    *("trackOpen", "trackClick", "listUnsubscribe", "listSubscribe", "exportCompleted", "exportFailed"),
}
NAMES = {ALL_EVENTS, *EventName, *ABOUT_MAIL}
MOST = 20  # headers
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")  # RFC 9110 section 5.6.2
VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,1022}[\x21-\x7e])?")
# What the delivery itself says.
OURS = re.compile(r"host|content-.*|transfer-encoding|connection|user-agent|webhook-.*|x-ee-wh-.*|te|upgrade|expect")


def blueprint(callers: Callers, webhooks: Webhooks, change: Callable[..., Awaitable[Webhook]], base_url: str) -> Routes:
    """Both routes; for administrators."""
    routes = Routes()

    @routes.get("v1/settings")
    @for_callers(callers, Action.READ_SETTINGS, Scope.ADMIN)
    async def get_settings(req: func.HttpRequest, _: Caller) -> func.HttpResponse:
        stored = await webhooks.get(GLOBAL_WEBHOOK_ID)
        body = describe(stored.value if stored else None, base_url)
        fields = Fields(req.params)
        asked = [name for name in body if fields.switch(name)]
        fields.refuse_faults()
        return answer({name: body[name] for name in asked or body})

    @routes.post("v1/settings")
    @for_callers(callers, Action.CHANGE_SETTINGS, Scope.ADMIN)
    async def change_settings(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
        body = read_object(req)
        await change(*read_wish(body), caller)
        return answer({"updated": [name for name in body if name != "verify"]})

    return routes


def describe(webhook: Webhook | None, base_url: str) -> dict[str, Any]:
    """The settings, whether or not they were ever changed."""
    return {
        "serviceUrl": base_url,
        "webhooks": webhook.place if webhook else "",
        "webhooksEnabled": webhook.is_active if webhook else False,
        "webhookEvents": list(webhook.events) if webhook else [],
        "webhooksCustomHeaders": [{"key": name, "value": MASK} for name in webhook.header_names] if webhook else [],
        "serviceSecret": MASK if webhook else None,
    }


def read_wish(body: Mapping[str, Any]) -> tuple[SettingsWish, dict[str, str]]:
    """The fields, and what was wrong with them. An empty text for `webhooks` takes the target away."""
    fields = Fields(body)
    url = fields.text("webhooks", longest=LONGEST_URL)
    if url is not None and not is_target_url(url):
        fields.fault(
            "webhooks",
            "must be a whole https URL, with nothing hidden, and other letters than ASCII escaped",
        )
    wish = SettingsWish(
        url=Secret(url or "") if "webhooks" in body else None,
        enabled=fields.switch("webhooksEnabled") if "webhooksEnabled" in body else None,
        events=_events(fields),
        headers=_headers(fields),
        secret=read_secret(fields, "serviceSecret"),
        verify=fields.switch("verify") or "verify" not in body,
    )
    if "serviceUrl" in body:
        fields.take("serviceUrl")
        fields.fault("serviceUrl", "is read-only: it is the setting MAILBIND_BASE_URL")
    return wish, fields.finish()


def _events(fields: Fields) -> tuple[str, ...] | None:
    if "webhookEvents" in fields.values and fields.values["webhookEvents"] == []:
        fields.take("webhookEvents")
        return ()
    names = fields.texts("webhookEvents", NAMES.__contains__, "names of events, or *", 64)
    return names if "webhookEvents" in fields.values else None


def _headers(fields: Fields) -> dict[str, str] | None:
    value = fields.take("webhooksCustomHeaders")
    if "webhooksCustomHeaders" not in fields.values:
        return None
    items: list[Any] = value if isinstance(value, list) and len(value) <= MOST else [None]
    headers = {str(one["key"]).lower(): str(one["value"]) for one in items if _is_header(one)}
    if len(headers) != len(items):
        fields.fault(
            "webhooksCustomHeaders",
            f"must be at most {MOST} different headers as key and value, and none of Mailbind's own",
        )
    return headers


def _is_header(one: object) -> bool:
    if not isinstance(one, dict) or set(one) != {"key", "value"}:
        return False
    key, value = one["key"], one["value"]
    if not isinstance(key, str) or not isinstance(value, str) or OURS.fullmatch(key.lower()):
        return False
    # What was shown in place of a value is none.
    return HEADER.fullmatch(key) is not None and VALUE.fullmatch(value) is not None and value != MASK
