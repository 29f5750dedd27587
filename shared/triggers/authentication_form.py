"""/v1/authentication/form: start a registration, ask after it, and end it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import azure.functions as func

from shared.domain.account import is_guid
from shared.domain.audit import Action
from shared.domain.caller import Caller, Scope
from shared.domain.errors import InvalidInput, InvalidJson, NotFound
from shared.domain.formats import MAX_ACCOUNT_ID_BYTES, REGISTRATION_ID_PATTERN
from shared.domain.invited_mailbox import InvitedMailbox, MailboxState
from shared.domain.registration import PendingRegistration, RegistrationStatus
from shared.domain.remedy import remedy
from shared.http.audit import about, about_accounts
from shared.http.callers import Callers, for_callers
from shared.http.limits import RequestLimits
from shared.http.responses import answer, moment
from shared.http.routes import Routes
from shared.ports import Clock, Registrations
from shared.triggers.fields import Fields, read_object
from shared.usecases.sign_in.invitation import Invitation
from shared.usecases.sign_in.start import Started

MOST_MAILBOXES = 50


def blueprint(
    callers: Callers,
    limits: RequestLimits,
    start: Callable[..., Awaitable[Started]],
    cancel: Callable[..., Awaitable[PendingRegistration]],
    registrations: Registrations,
    clock: Clock,
) -> Routes:
    """The three routes."""
    routes = Routes()

    @routes.post("v1/authentication/form")
    @for_callers(callers, Action.START_REGISTRATION, Scope.REGISTER, minds_reach=True)
    async def start_registration(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
        body = _counted(req, caller, limits)
        invitation, faults = read_invitation(body)
        about_accounts(mailbox.account for mailbox in invitation.wanted if mailbox.account)
        started = await start(invitation, faults, caller)
        about_accounts(started.accounts)
        about(target=started.registration)
        return answer(link(started))

    @routes.get("v1/authentication/form/{registration}")
    @for_callers(callers, Action.READ_REGISTRATION, Scope.REGISTER, Scope.ACCOUNTS_READ, minds_reach=True)
    async def get_registration(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
        stored = await registrations.get(_registration(req))
        # Nobody guesses the id of a registration, so there is nothing to tell apart for who may not see it.
        if stored is None or not all(caller.can_access(mailbox.account) for mailbox in stored.value.mailboxes):
            raise NotFound("No such registration")
        reads_accounts = caller.has_scope(Scope.ACCOUNTS_READ)
        return answer(describe(stored.value, stored.value.status_at(clock()), reads_accounts=reads_accounts))

    @routes.delete("v1/authentication/form/{registration}")
    @for_callers(callers, Action.CANCEL_REGISTRATION, Scope.REGISTER, minds_reach=True)
    async def delete_registration(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
        ended = await cancel(_registration(req), caller)
        about_accounts(mailbox.account for mailbox in ended.mailboxes)
        about(target=ended.id)
        status = ended.status_at(clock())
        deleted = status is RegistrationStatus.CANCELLED
        return answer({"registration": ended.id, "deleted": deleted, "status": status.value})

    return routes


def _registration(req: func.HttpRequest) -> str:
    """The id in the route. Raises NotFound for what cannot be one."""
    named: str = req.route_params["registration"]
    if not REGISTRATION_ID_PATTERN.fullmatch(named):
        raise NotFound("No such registration")
    return named


def _counted(req: func.HttpRequest, caller: Caller, limits: RequestLimits) -> dict[str, Any]:
    """The body, counted as its mailboxes; one that is not a JSON object counts as one. Raises what either raises."""
    try:
        body = read_object(req)
    except (InvalidJson, InvalidInput):
        limits.form(req, caller.id)
        raise
    limits.form(req, caller.id, weight(body))
    return body


def weight(body: Mapping[str, Any]) -> int:
    """How many mailboxes a form names: each has reads, writes and events of its own."""
    listed = body.get("mailboxes")
    return min(max(len(listed), 1), MOST_MAILBOXES) if isinstance(listed, list) else 1


def read_invitation(body: Mapping[str, Any]) -> tuple[Invitation, dict[str, str]]:
    """The form's fields and what was wrong with them. IMAP-only fields of EmailEngine's form have no effect."""
    fields = Fields(body)
    invitation = Invitation(
        redirect_url=fields.text("redirectUrl", longest=4096),
        account=read_account_id(fields),
        name=fields.text("name"),
        email=fields.address("email"),
        expected_email=fields.address("expectedEmail"),
        expected_tenant=read_tenant(fields),
        delegated=fields.switch("delegated"),
        type=None if body.get("type") is False else fields.text("type"),
        allow_principal_change=fields.switch("allowPrincipalChange"),
        change_mailbox=fields.switch("changeMailbox"),
        mailboxes=_mailboxes(fields),
    )
    fields.ignored("type", lambda value: isinstance(value, (str, bool)), "a string or false")
    for name in ("syncFrom", "notifyFrom"):
        fields.ignored(name, lambda value: isinstance(value, str), "a date")
    for name in ("subconnections", "path"):
        fields.ignored(name, _is_texts, "a list of strings")
    return invitation, fields.finish()


def link(started: Started) -> dict[str, Any]:
    """The link that a caller passes on; it is told this once."""
    return {"url": started.url.reveal(), "registration": started.registration, "expires": moment(started.expires)}


def read_tenant(fields: Fields) -> str | None:
    """The id of the tenant whose people alone may follow the link."""
    tenant = fields.text("expectedTenant")
    if tenant and not is_guid(tenant):
        fields.fault("expectedTenant", "must be a tenant id")
    return tenant


def read_account_id(fields: Fields) -> str | None:
    """An account's id, which has to fit into a route; None asks for a new one."""
    account = fields.text("account", longest_bytes=MAX_ACCOUNT_ID_BYTES, nullable=True)
    if account and (account in {".", ".."} or set("/\\") & set(account)):
        fields.fault("account", "must not contain slashes, nor be . or ..: no route could name it")
    return account


def _mailboxes(fields: Fields) -> tuple[InvitedMailbox, ...]:
    """Several mailboxes in place of one: what the form says of one has no place beside them."""
    listed = fields.take("mailboxes")
    if "mailboxes" not in fields.values:
        return ()
    for name in ("account", "email", "name"):
        if fields.values.get(name):
            fields.fault(name, 'has no place beside "mailboxes": each of them has its own')
    if fields.values.get("delegated") not in (None, "") and not fields.switch("delegated"):
        fields.fault("delegated", 'must be true or absent beside "mailboxes": they are shared ones')
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST_MAILBOXES:
        fields.fault("mailboxes", f"must be a list of 1 to {MOST_MAILBOXES} mailboxes")
    mailboxes = []
    for index, item in enumerate(listed[:MOST_MAILBOXES] if isinstance(listed, list) else ()):
        inner = fields.part(f"mailboxes[{index}]", item)
        mailboxes.append(InvitedMailbox(read_account_id(inner) or "", inner.address("email"), inner.text("name")))
        inner.finish()
    return tuple(mailboxes)


def describe(registration: PendingRegistration, status: RegistrationStatus, *, reads_accounts: bool) -> dict[str, Any]:
    """A registration as callers see it; the link itself is not known any more.

    A caller who may not read accounts sees the mailbox of an existing account only if the form named it.
    """
    body: dict[str, Any] = {
        "registration": registration.id,
        "status": status.value,
        "delegated": registration.delegated,
        "type": registration.app or None,
        "created": moment(registration.created),
        "expires": moment(registration.expires),
        "completed": moment(registration.completed),
        "mailboxes": [_mailbox(mailbox, reads_accounts) for mailbox in registration.mailboxes],
    }
    if registration.only_mailbox is not None:
        body |= {
            "account": registration.only_mailbox.account,
            "email": _email(registration.only_mailbox, reads_accounts),
        }
        if registration.only_mailbox.state.is_bound:
            body["state"] = registration.only_mailbox.state.value
    if registration.failure is not None:
        told = remedy(registration.failure)
        body["failure"] = {"code": registration.failure, "description": told.what, "action": told.action}
    return body


def _email(mailbox: InvitedMailbox, reads_accounts: bool) -> str | None:  # noqa: FBT001 - says who asks
    known = reads_accounts or mailbox.named or mailbox.state is MailboxState.NEW
    return mailbox.email if known else None


def _mailbox(mailbox: InvitedMailbox, reads_accounts: bool) -> dict[str, Any]:  # noqa: FBT001 - as above
    email, state = _email(mailbox, reads_accounts), mailbox.state.value
    body: dict[str, Any] = {"account": mailbox.account, "email": email, "state": state}
    if mailbox.failure is not None:
        told = remedy(mailbox.failure)
        body |= {"code": mailbox.failure, "description": told.what, "action": told.action}
    return body


def _is_texts(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))
