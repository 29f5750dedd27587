"""What a person's browser meets: the link's page, the way to Entra, and the way back."""

from collections.abc import Awaitable, Callable, Mapping

import azure.functions as func

from shared.domain.audit import Action
from shared.domain.formats import RANDOM_TOKEN_PATTERN, REGISTRATION_ID_PATTERN, STATE_PATTERN
from shared.domain.secret import Secret
from shared.http.audit import about
from shared.http.bounds import read_form
from shared.http.limits import RequestLimits
from shared.http.routes import Routes
from shared.triggers.browser_cookie import read_cookie
from shared.triggers.browser_pages import BrowserPages
from shared.usecases.sign_in.link import LinkPage, UnusableLink
from shared.usecases.sign_in.outcome import Carried, Outcome, Tried

# What our pages send back.
PAGE_FIELDS = ("registration", "confirmation", "opened", "app", "keep", "finish")
# What Entra answers with (Entra: v2-oauth2-auth-code-flow), and RFC 9207's `iss`; anything else is nobody's.
ANSWER_FIELDS = ("state", "code", "error", "error_description", "error_subcode", "client_info", "session_state", "iss")


def blueprint(
    pages: BrowserPages,
    limits: RequestLimits,
    open_link: Callable[..., Awaitable[LinkPage]],
    begin: Callable[..., Awaitable[Secret]],
    complete: Callable[..., Awaitable[Outcome]],
    finish: Callable[..., Awaitable[Outcome]],
    keep: Callable[..., Awaitable[Outcome]],
) -> Routes:
    """The routes that need no caller's token."""
    routes = Routes()

    @routes.get("accounts/new")
    @pages.guarded(Action.OPEN_LINK)
    async def open_sign_in_link(req: func.HttpRequest) -> func.HttpResponse:
        limits.page(req)
        cookie = read_cookie(req)
        try:
            page = await open_link(Secret(_ticket(req)), cookie)
        except UnusableLink as link:
            return await pages.dead(link)
        return pages.confirm(page, is_new=page.cookie != cookie)

    @routes.post("accounts/new")
    @pages.guarded(Action.CONTINUE_SIGN_IN)
    async def continue_sign_in(req: func.HttpRequest) -> func.HttpResponse:
        limits.page(req)
        form, cookie = read_form(req, PAGE_FIELDS), read_cookie(req)
        registration = form["registration"] if REGISTRATION_ID_PATTERN.fullmatch(form.get("registration", "")) else ""
        if "keep" in form:
            return await _show(pages, await keep(Carried(registration, form["keep"]), cookie))
        if "finish" in form:
            return await _show(pages, await finish(Carried(registration, form["finish"]), cookie))
        opened = form.get("opened", "") if _is_from_our_page(req) else ""
        try:
            target = await begin(registration, form.get("confirmation", ""), cookie, form.get("app", ""), opened=opened)
        except UnusableLink as link:
            return await pages.dead(link)
        about(target=registration)
        return pages.redirect(target)

    @routes.post("oauth")
    @pages.guarded(Action.FINISH_SIGN_IN)
    async def finish_sign_in(req: func.HttpRequest) -> func.HttpResponse:
        limits.callback(req)
        return await _show(pages, await complete(_answer(read_form(req, ANSWER_FIELDS)), read_cookie(req)))

    @routes.get("oauth")
    @pages.guarded(Action.FINISH_SIGN_IN)
    async def finish_failed_sign_in(req: func.HttpRequest) -> func.HttpResponse:
        limits.callback(req)
        if "admin_consent" in req.params and "error" not in req.params:
            return pages.consented()
        # A code in a URL ends up in logs and histories; one that comes this way is not redeemed.
        answer = {name: value for name, value in _answer(req.params).items() if name != "code"}
        return await _show(pages, await complete(answer, read_cookie(req)))

    return routes


def _answer(fields: Mapping[str, str]) -> dict[str, str]:
    """Entra's answer; a `state` that was not made here is none, and so is all that comes with it."""
    if not STATE_PATTERN.fullmatch(fields.get("state", "")):
        return {}
    return {name: fields[name] for name in ANSWER_FIELDS if name in fields}


def _ticket(req: func.HttpRequest) -> str:
    ticket: str = req.params.get("ticket", "")
    return ticket if RANDOM_TOKEN_PATTERN.fullmatch(ticket) else ""


def _is_from_our_page(req: func.HttpRequest) -> bool:
    """Whether the browser says that a page of this very origin sent the form (Fetch Metadata section 2.3).

    No script and no form of another site can make a browser say so; older browsers say nothing.
    """
    return bool(req.headers.get("Sec-Fetch-Site") == "same-origin")


async def _show(pages: BrowserPages, outcome: Outcome) -> func.HttpResponse:
    return await (pages.tried(outcome) if isinstance(outcome, Tried) else pages.refused(outcome))
