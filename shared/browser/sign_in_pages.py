"""The routes that a person's browser opens. They need no caller's token."""

from collections.abc import Mapping

import azure.functions as func

from shared.browser.cookie import COOKIE, read_cookie, set_cookie
from shared.browser.outcomes import confirmation_page, consent_page, outcome_page
from shared.domain.audit import Action
from shared.domain.formats import RANDOM_TOKEN_PATTERN, REGISTRATION_ID_PATTERN, STATE_PATTERN, percent_encoded
from shared.domain.secret import Secret
from shared.http.audit import add_to_audit
from shared.http.bounds import read_form
from shared.http.limits import RequestLimits
from shared.http.operations import Resource
from shared.http.responses import HTML, reply
from shared.ports import App
from shared.usecases.sign_in import complete
from shared.usecases.sign_in import link as sign_in_link
from shared.usecases.sign_in.consent import consent_return, is_consent_return
from shared.usecases.sign_in.outcome import CarriedField, Refused, keep_checking
from shared.usecases.sign_in.repeated import look_again

# The fields of our own pages' forms.
PAGE_FIELDS = ("registration", "confirmation", "opened", "app", "keep", "finish", "look")
# The parameters of Entra's answer (Entra: v2-oauth2-auth-code-flow), and RFC 9207's `iss`. Others are ignored.
ANSWER_FIELDS = ("state", "code", "error", "error_description", "error_subcode", "client_info", "session_state", "iss")

resource = Resource("Pages", "What people see in a browser. Callers do not use these.")


@resource.get(
    "/accounts/new",
    Action.OPEN_LINK,
    browser_limit=RequestLimits.page,
    media_type=HTML,
    cookie=COOKIE,
    queries=("ticket",),
    refusals=[404, 410, 429, 503],
)
async def open_link(app: App, request: func.HttpRequest) -> func.HttpResponse:
    """Open a sign-in link.

    Shows who asks for access to which mailbox, and what a sign-in grants.
    """
    cookie = read_cookie(request)
    try:
        page = await sign_in_link.open_link(app, _ticket(request), cookie)
    except sign_in_link.UnusableLink as unusable:
        return await outcome_page(app, Refused(unusable.code, unusable.registration))
    response = confirmation_page(app, page)
    if page.cookie != cookie:
        set_cookie(response, page.cookie)
    return response


@resource.post(
    "/accounts/new",
    Action.CONTINUE_SIGN_IN,
    browser_limit=RequestLimits.page,
    media_type=HTML,
    cookie=COOKIE,
    form=PAGE_FIELDS,
    status=303,
    refusals=[200, 202, 400, 403, 404, 409, 410, 429, 503],
)
async def continue_sign_in(app: App, request: func.HttpRequest) -> func.HttpResponse:
    """Continue to Microsoft.

    Redirects to the sign-in, or keeps checking a mailbox that does not open yet.
    """
    form, cookie = read_form(request, PAGE_FIELDS), read_cookie(request)
    registration = form["registration"] if REGISTRATION_ID_PATTERN.fullmatch(form.get("registration", "")) else ""
    if "keep" in form:
        return await outcome_page(app, await keep_checking(app, CarriedField(registration, form["keep"]), cookie))
    if "finish" in form:
        carried = CarriedField(registration, form["finish"])
        return await outcome_page(app, await complete.finish_sign_in(app, carried, cookie))
    if "look" in form:
        return await outcome_page(app, await look_again(app, CarriedField(registration, form["look"]), cookie))
    opened = form.get("opened", "") if _is_from_our_page(request) else ""
    confirmation, chosen_app = form.get("confirmation", ""), form.get("app", "")
    try:
        url = await sign_in_link.begin_sign_in(app, registration, confirmation, cookie, chosen_app, opened=opened)
    except sign_in_link.UnusableLink as unusable:
        return await outcome_page(app, Refused(unusable.code, unusable.registration))
    add_to_audit(target=registration)
    return _redirect(url)


@resource.get(
    "/oauth",
    Action.FINISH_SIGN_IN,
    browser_limit=RequestLimits.callback,
    media_type=HTML,
    cookie=COOKIE,
    queries=(*ANSWER_FIELDS, "admin_consent"),
    refusals=[400, 403, 409, 410, 429, 503],
)
async def finish_failed_sign_in(app: App, request: func.HttpRequest) -> func.HttpResponse:
    """Return from Microsoft with an error.

    Entra redirects the browser here when a sign-in fails, and after an administrator's consent.
    """
    if is_consent_return(request.params):
        return await consent_page(app, await consent_return(app, request.params, read_cookie(request)))
    # A code in a URL ends up in logs and histories, so it is not redeemed.
    answer = {name: value for name, value in _entra_answer(request.params).items() if name != "code"}
    return await outcome_page(app, await complete.complete_sign_in(app, answer, read_cookie(request)))


@resource.post(
    "/oauth",
    Action.FINISH_SIGN_IN,
    browser_limit=RequestLimits.callback,
    media_type=HTML,
    cookie=COOKIE,
    form=ANSWER_FIELDS,
    refusals=[202, 303, 400, 403, 409, 410, 429, 503],
)
async def finish_sign_in(app: App, request: func.HttpRequest) -> func.HttpResponse:
    """Return from Microsoft.

    Entra has the browser post the answer of a sign-in here.
    """
    answer = _entra_answer(read_form(request, ANSWER_FIELDS))
    return await outcome_page(app, await complete.complete_sign_in(app, answer, read_cookie(request)))


def _ticket(request: func.HttpRequest) -> Secret:
    """The link's ticket; empty if it cannot be one of ours."""
    ticket = request.params.get("ticket", "")
    return Secret(ticket if RANDOM_TOKEN_PATTERN.fullmatch(ticket) else "")


def _entra_answer(fields: Mapping[str, str]) -> dict[str, str]:
    """Entra's answer; empty if its `state` cannot be one of ours."""
    if not STATE_PATTERN.fullmatch(fields.get("state", "")):
        return {}
    return {name: fields[name] for name in ANSWER_FIELDS if name in fields}


def _is_from_our_page(request: func.HttpRequest) -> bool:
    """Whether the browser says that a page of this very origin sent the form (Fetch Metadata section 2.3).

    No script or form of another site can make a browser say so. Older browsers say nothing.
    """
    return bool(request.headers.get("Sec-Fetch-Site") == "same-origin")


def _redirect(url: Secret) -> func.HttpResponse:
    """To Entra. 303 turns the POST into a GET (RFC 9110 section 15.4.4)."""
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return reply(None, 303, {"Location": percent_encoded(url.reveal()), **headers})
