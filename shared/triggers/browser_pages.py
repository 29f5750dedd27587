"""Outcomes as pages: which template, which status, where the person can go from there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import azure.functions as func

from shared.domain.audit import Action, AuditOutcome, correlation_id
from shared.domain.errors import InternalError, MailbindError
from shared.domain.formats import percent_encoded
from shared.domain.invited_mailbox import MailboxState
from shared.domain.registration import PendingRegistration, RegistrationStatus
from shared.domain.remedy import remedy
from shared.domain.secret import Secret
from shared.http.audit import CORRELATION, Audit, about, about_accounts, outcome_of
from shared.http.bounds import BodyType, check_bounds
from shared.http.refusals import refusal_of, status_of
from shared.http.responses import Handler, add_header, refusal_headers, reply
from shared.pages.render import Pages, page_headers
from shared.ports import OAuthApps
from shared.triggers.browser_cookie import set_cookie
from shared.triggers.mailbox_groups import BOUND, WAITING, came_to, grouped
from shared.triggers.way_back import back_refused, back_tried, host
from shared.usecases.sign_in.link import LinkPage, UnusableLink
from shared.usecases.sign_in.outcome import Outcome, Refused, Tried

STATUSES = {
    "link_unknown": 404,
    "link_expired": 410,
    "link_used": 410,
    "link_replaced": 410,
    "link_withdrawn": 410,
    "link_cancelled": 410,
    "account_removed": 410,
    "app_unavailable": 410,
    "browser_mismatch": 400,
    "sign_in_unknown": 400,
    "account_busy": 409,
    "other_kind": 409,
    "other_mailbox": 409,
    "other_app": 409,
    "entra_unavailable": 503,
    "storage_unavailable": 503,
    "TooManyRequests": 429,
}
RETRY_AFTER_SECONDS = "10"
AGAIN = {
    "no_mailbox_access",
    "principal_in_use",
    "wrong_principal",
    "unexpected_person",
    "email_mismatch",
    "own_mailbox",
}
# What the page of a refusal may offer.
NO_WAYS: Mapping[str, None] = dict.fromkeys(
    ("email", "registration", "app", "confirmation", "keep", "finish", "consent", "back", "caller")
)
BARE_PAGE = "<!doctype html><title>Mailbind</title><p>Something went wrong in Mailbind. Try again in a moment.</p>"


@dataclass(frozen=True, slots=True)
class BrowserPages:
    """Everything that a browser is answered."""

    pages: Pages
    apps: OAuthApps
    audit: Audit
    redirect_uri: str

    def confirm(self, page: LinkPage, *, is_new: bool) -> func.HttpResponse:
        """The page before Microsoft's; a browser that is new here gets its cookie."""
        asked = page.registration
        about_accounts(mailbox.account for mailbox in asked.mailboxes)
        about(target=asked.id)
        response = self._page(
            "confirm",
            asked=asked,
            replaces=page.replaces,
            apps=page.apps,
            scopes={app.id: {scope.rpartition("/")[2] for scope in app.scopes} for app in page.apps},
            caller=host(asked.redirect_url),
            expires=readable(asked.expires),
            confirmation=page.confirmation,
            opened=page.opened,
            waiting=asked.stage is RegistrationStatus.WAITING_FOR_ACCESS,
        )
        if is_new:
            set_cookie(response, page.cookie)
        return response

    async def dead(self, link: UnusableLink) -> func.HttpResponse:
        """A link that leads nowhere."""
        return await self.refused(Refused(link.code, link.registration))

    def redirect(self, target: Secret) -> func.HttpResponse:
        """To Entra. 303 turns the POST into a GET (RFC 9110 section 15.4.4)."""
        headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        return reply(None, 303, {"Location": percent_encoded(target.reveal()), **headers})

    async def tried(self, outcome: Tried) -> func.HttpResponse:
        """What became of the mailboxes. When all are bound, the browser goes on to the caller's page by itself."""
        asked = outcome.registration
        one = outcome.results.get(asked.only_mailbox.account) if asked.only_mailbox else None
        if one is not None and one.state is MailboxState.REFUSED:
            code = one.code or "unknown_failure"
            refused = Refused(code, asked, again=outcome.again, keep=outcome.keep, principal=outcome.principal)
            return await self.refused(refused)
        _note(outcome, came_to(outcome))
        values: dict[str, Any] = {
            "back": back_tried(asked, outcome.results),
            "caller": host(asked.redirect_url),
            "until": readable(outcome.until) if outcome.until else None,
        }
        if one is None:
            return self._several(outcome, values)
        email = one.email or (asked.only_mailbox.email if asked.only_mailbox else None)
        if one.state.is_bound:
            return self._page("bound", email=email, **values)
        return self._page("waiting", status=202, code=one.code, email=email, **values)

    def _several(self, outcome: Tried, values: dict[str, Any]) -> func.HttpResponse:
        """Each mailbox under what became of it."""
        asked, statuses = outcome.registration, {AuditOutcome.DONE: 200, AuditOutcome.WAITING: 202}
        groups = grouped(outcome)
        return self._page(
            "results",
            status=statuses.get(came_to(outcome), 403),
            total=len(asked.mailboxes),
            bound=groups.pop(BOUND, []),
            waiting=groups.pop(WAITING, []),
            refused=[(code, remedy(code), mailboxes) for code, mailboxes in groups.items()],
            registration=asked.id,
            app=asked.app,
            confirmation=outcome.again.confirmation if outcome.again else None,
            keep=outcome.keep,
            **values,
        )

    async def refused(self, outcome: Refused) -> func.HttpResponse:
        """What went wrong, and every way on from there."""
        asked, code = outcome.registration, outcome.code
        _note(outcome, AuditOutcome.REFUSED)
        return self._refusal(
            code,
            STATUSES.get(code, 403),
            {},
            email=asked.only_mailbox.email if asked and asked.only_mailbox else None,
            registration=asked.id if asked else None,
            app=asked.app if asked else None,
            confirmation=outcome.again.confirmation if outcome.again else None,
            keep=outcome.keep,
            finish=outcome.finish,
            consent=await self._consent(asked) if code in {"needs_consent", "needs_admin_consent"} else None,
            back=back_refused(asked, code, remedy(code).what) if asked and code != "link_used" else None,
            caller=host(asked.redirect_url) if asked else None,
        )

    def _refusal(self, code: str, status: int, headers: Mapping[str, str], **ways: Any) -> func.HttpResponse:  # noqa: ANN401 - as `_page`
        """The page of a code with the ways on from there, if there are any."""
        later = {"Retry-After": RETRY_AFTER_SECONDS} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
        return self._page(
            "refused",
            status=status,
            more_headers={**later, **headers},
            told=remedy(code),
            code=code,
            # The operator finds the line in the log by it.
            correlation=correlation_id() if code == InternalError.code else None,
            again="Sign in with another account" if code in AGAIN else "Try again",
            **{**NO_WAYS, **ways},
        )

    def consented(self) -> func.HttpResponse:
        """Where an administrator lands after consenting."""
        return self._page("consented")

    def guarded(self, action: Action) -> Callable[[Handler], Handler]:
        """Hold requests to their bounds, answer whatever goes wrong with a page, and record what was done."""

        def decorate(handler: Handler) -> Handler:
            @wraps(handler)
            async def guarding(req: func.HttpRequest) -> func.HttpResponse:
                with self.audit.request(req, action):
                    try:
                        check_bounds(req, BodyType.FORM)
                        response = await handler(req)
                    except Exception as error:  # noqa: BLE001 - the host would answer with nothing at all
                        refusal = refusal_of(error)
                        response = self.failed(refusal)
                        about(outcome=outcome_of(refusal), code=refusal.code)
                add_header(response, CORRELATION, correlation_id() or "")
                return response

            return guarding

        return decorate

    def failed(self, refusal: MailbindError) -> func.HttpResponse:
        """A page about an error, for which nothing is read. When it cannot be rendered either, a bare one."""
        code = refusal.code or "unknown_failure"
        try:
            return self._refusal(code, status_of(refusal), refusal_headers(refusal))
        except Exception as error:  # noqa: BLE001 - the rendering itself may be what failed
            refusal_of(error)
            return reply(BARE_PAGE, 500, page_headers(""), "text/html")

    async def _consent(self, asked: PendingRegistration | None) -> str | None:
        """The address for administrators (Entra: v2-admin-consent)."""
        app = await self.apps.get(asked.app) if asked else None
        if app is None:
            return None
        query = urlencode({"client_id": app.client_id, "redirect_uri": self.redirect_uri})
        return f"{app.cloud.authority}/{app.tenant}/adminconsent?{query}"

    def _page(
        self,
        template: str,
        *,
        status: int = 200,
        more_headers: Mapping[str, str] | None = None,
        **values: Any,  # noqa: ANN401 - whatever a template shows
    ) -> func.HttpResponse:
        html, headers = self.pages.render(template, **values)
        return reply(html, status, {**headers, **(more_headers or {})}, "text/html")


def _note(outcome: Outcome, what: AuditOutcome) -> None:
    """Who signed in for which registration, and what came of it."""
    asked = outcome.registration
    about_accounts(mailbox.account for mailbox in asked.mailboxes) if asked else None
    about(
        outcome=what,
        actor=f"person:{outcome.principal}" if outcome.principal else "unknown",
        target=asked.id if asked else None,
    )
    if isinstance(outcome, Refused):
        about(code=outcome.code)
    elif asked and asked.only_mailbox:
        about(code=outcome.results[asked.only_mailbox.account].code)
    else:
        about(results={account: result.code or result.state.value for account, result in outcome.results.items()})


def readable(moment: datetime) -> str:
    """A moment for a page."""
    return moment.astimezone(UTC).strftime("%-d %B %Y, %H:%M UTC")
