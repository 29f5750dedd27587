"""The page for a link that was opened, and for each outcome of a sign-in."""

from datetime import UTC, datetime
from typing import Any

import azure.functions as func

from shared.browser.pages import page, refusal_page
from shared.browser.redirect import refusal_redirect, results_redirect, site_of
from shared.domain.audit import AuditOutcome
from shared.domain.invited_mailbox import InvitedMailbox, MailboxResult, MailboxState
from shared.domain.registration import RegistrationStatus
from shared.domain.remedy import Reader, remedy
from shared.http.audit import add_accounts_to_audit, add_to_audit
from shared.ports import App
from shared.usecases.sign_in.consent import CONSENT_DECLINED, consent_url
from shared.usecases.sign_in.link import LinkPage
from shared.usecases.sign_in.outcome import Completed, Outcome, Refused

STATUSES = {AuditOutcome.DONE: 200, AuditOutcome.WAITING: 202, AuditOutcome.REFUSED: 403}
CONSENT_CODES = {"needs_consent", "needs_admin_consent", CONSENT_DECLINED}
BOUND, WAITING = "bound", "waiting"
# The caller is not told of these as failures.
NO_FAILURES = {"link_used", "sign_in_in_progress"}


def confirmation_page(app: App, link: LinkPage) -> func.HttpResponse:
    """The page that says who asks for what, before the person goes on to Microsoft."""
    registration = link.registration
    add_accounts_to_audit(mailbox.account for mailbox in registration.mailboxes)
    add_to_audit(target=registration.id)
    return page(
        app,
        "confirm",
        registration=registration,
        replaces=link.replaces,
        hand_out=link.hand_out,
        apps=link.apps,
        grants=list(_grants(link).items()),
        site=site_of(registration.redirect_url),
        expires=_readable(registration.expires),
        confirmation=link.confirmation,
        opened=link.opened,
        is_waiting=registration.stage is RegistrationStatus.WAITING_FOR_ACCESS,
    )


def _grants(link: LinkPage) -> dict[frozenset[str], list[str]]:
    """The scopes that a sign-in grants, without their resource, and the names of the apps that ask for them."""
    grants: dict[frozenset[str], list[str]] = {}
    for oauth_app in link.apps:
        scopes = frozenset(scope.rpartition("/")[2] for scope in oauth_app.scopes)
        grants.setdefault(scopes, []).append(oauth_app.name)
    return grants


async def consent_page(app: App, returned: LinkPage | Refused | None) -> func.HttpResponse:
    """The page for an administrator who comes back from the consent link."""
    if isinstance(returned, Refused):
        return await outcome_page(app, returned)
    return page(app, "consented", link=returned)


async def outcome_page(app: App, outcome: Outcome) -> func.HttpResponse:
    """The page of an outcome. When every mailbox is bound, it sends the browser back to the caller by itself."""
    if isinstance(outcome, Refused):
        return await _refused_page(app, outcome)
    mailbox = outcome.registration.only_mailbox
    result = outcome.results.get(mailbox.account) if mailbox else None
    if result is not None and result.state is MailboxState.REFUSED:
        code = result.code or "unknown_failure"
        refused = Refused(
            code,
            outcome.registration,
            again=outcome.again,
            keep=outcome.keep,
            principal=outcome.principal,
            compared=result.compared,
        )
        return await _refused_page(app, refused)
    _record(outcome, _audit_outcome(outcome))
    return _several_page(app, outcome) if result is None else _single_page(app, outcome, result)


async def _refused_page(app: App, outcome: Refused) -> func.HttpResponse:
    registration, code = outcome.registration, outcome.code
    what_happened = remedy(code, Reader.PERSON).what
    _record(outcome, AuditOutcome.WAITING if outcome.look else AuditOutcome.REFUSED)
    if registration is None:
        return refusal_page(app, code, keep=outcome.keep, finish=outcome.finish)
    return refusal_page(
        app,
        code,
        email=registration.only_mailbox.email if registration.only_mailbox else None,
        registration_id=registration.id,
        app_id=registration.app,
        confirmation=outcome.again.confirmation if outcome.again else None,
        keep=outcome.keep,
        finish=outcome.finish,
        look=outcome.look,
        compared=outcome.compared,
        consent_url=await consent_url(app, outcome.again) if code in CONSENT_CODES and outcome.again else None,
        back_url=refusal_redirect(registration, code, what_happened) if code not in NO_FAILURES else None,
        site=site_of(registration.redirect_url),
    )


def _single_page(app: App, outcome: Completed, result: MailboxResult) -> func.HttpResponse:
    mailbox = outcome.registration.only_mailbox
    email = result.email or (mailbox.email if mailbox else None)
    if result.state.is_bound:
        return page(app, "bound", email=email, **_ways_on(outcome))
    return page(app, "waiting", status=202, code=result.code, email=email, **_ways_on(outcome))


def _several_page(app: App, outcome: Completed) -> func.HttpResponse:
    """The page that lists every mailbox under its result."""
    registration, groups = outcome.registration, _mailbox_groups(outcome)
    return page(
        app,
        "results",
        status=STATUSES[_audit_outcome(outcome)],
        total=len(registration.mailboxes),
        bound=groups.pop(BOUND, []),
        waiting=groups.pop(WAITING, []),
        refused=[(code, remedy(code, Reader.PERSON), mailboxes) for code, mailboxes in groups.items()],
        registration_id=registration.id,
        app_id=registration.app,
        confirmation=outcome.again.confirmation if outcome.again else None,
        keep=outcome.keep,
        **_ways_on(outcome),
    )


def _ways_on(outcome: Completed) -> dict[str, Any]:
    return {
        "back_url": results_redirect(outcome.registration, outcome.results),
        "site": site_of(outcome.registration.redirect_url),
        "until": _readable(outcome.until) if outcome.until else None,
    }


def _mailbox_groups(outcome: Completed) -> dict[str, list[InvitedMailbox]]:
    """All mailboxes of the registration by BOUND, WAITING, or the code of their refusal; of earlier sign-ins too."""
    groups: dict[str, list[InvitedMailbox]] = {}
    for mailbox in outcome.registration.mailboxes:
        result = outcome.results.get(mailbox.account, MailboxResult(mailbox.state, mailbox.failure))
        groups.setdefault(_group(result), []).append(mailbox)
    return groups


def _group(result: MailboxResult) -> str:
    if result.state.is_bound:
        return BOUND
    return WAITING if result.state is MailboxState.WAITING_FOR_ACCESS else result.code or "unknown_failure"


def _audit_outcome(outcome: Completed) -> AuditOutcome:
    """The best result of any mailbox."""
    states = {result.state for result in outcome.results.values()}
    if any(state.is_bound for state in states):
        return AuditOutcome.DONE
    return AuditOutcome.WAITING if MailboxState.WAITING_FOR_ACCESS in states else AuditOutcome.REFUSED


def _record(outcome: Outcome, audited: AuditOutcome) -> None:
    """Say in the audit record who signed in for which registration, and with what result."""
    registration = outcome.registration
    if registration:
        add_accounts_to_audit(mailbox.account for mailbox in registration.mailboxes)
    add_to_audit(
        outcome=audited,
        actor=f"person:{outcome.principal}" if outcome.principal else "unknown",
        target=registration.id if registration else None,
    )
    if isinstance(outcome, Refused):
        add_to_audit(code=outcome.code)
    elif registration and registration.only_mailbox:
        add_to_audit(code=outcome.results[registration.only_mailbox.account].code)
    else:
        add_to_audit(
            results={account: result.code or result.state.value for account, result in outcome.results.items()}
        )


def _readable(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%-d %B %Y, %H:%M UTC")
