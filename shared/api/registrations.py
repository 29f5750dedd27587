"""/v1/authentication/form: start a registration, read it, and end it; and the repair link of an account."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import UNSET

from shared.api.field_types import (
    AccountId,
    RegistrationId,
)
from shared.api.registration_fields import (
    MAX_MAILBOXES,
    EndedRegistration,
    Failure,
    MailboxOutcome,
    Reauthorization,
    Registration,
    RegistrationForm,
)
from shared.api.sign_in_links import Link, link, own_mailbox_hint
from shared.domain import invited_mailbox
from shared.domain.audit import Action
from shared.domain.caller import Caller, Scope
from shared.domain.errors import NotFound
from shared.domain.formats import REGISTRATION_ID_PATTERN
from shared.domain.invited_mailbox import MailboxState
from shared.domain.registration import PendingRegistration, RegistrationStatus
from shared.domain.remedy import Reader, remedy
from shared.http.audit import add_accounts_to_audit, add_to_audit
from shared.http.decoding import Faults
from shared.http.operations import Resource
from shared.http.responses import moment
from shared.ports import App
from shared.usecases.sign_in import start
from shared.usecases.sign_in.invitation import Invitation

resource = Resource("Registrations", "Sign-in links for people with access to mailboxes.")


def mailbox_count(values: Mapping[str, Any]) -> int:
    """How many mailboxes a form names: each has reads, writes and events of its own."""
    listed = values.get("mailboxes")
    return min(max(len(listed), 1), MAX_MAILBOXES) if isinstance(listed, list) else 1


@resource.post(
    "/v1/authentication/form",
    Action.START_REGISTRATION,
    Scope.REGISTER,
    checks_reach=True,
    uses_form_limit=True,
    weight=mailbox_count,
    refusals=[400],
)
async def start_registration(app: App, caller: Caller, body: RegistrationForm, faults: Faults) -> Link:
    """Start a mailbox registration.

    Creates a sign-in link. When a person with access to the mailbox signs in through it, the mailbox is bound.
    """
    _check_mailboxes(body, faults)
    invitation = _invitation(body)
    add_accounts_to_audit(mailbox.account for mailbox in invitation.requested_mailboxes if mailbox.account)
    add_to_audit(hand_out=invitation.hand_out)
    started = await start.start_registration(app, invitation, faults, caller)
    add_accounts_to_audit(started.accounts)
    add_to_audit(target=started.registration)
    answer = link(started)
    if body.email and body.delegated is UNSET and not started.delegated:
        answer.hint = own_mailbox_hint(body.email, 'send "delegated": true')
    return answer


@resource.get(
    "/v1/authentication/form/{registration}",
    Action.READ_REGISTRATION,
    Scope.REGISTER,
    Scope.ACCOUNTS_READ,
    checks_reach=True,
    refusals=[404],
)
async def get_registration(app: App, caller: Caller, registration_id: RegistrationId) -> Registration:
    """Get a registration.

    Returns the status of a registration and of each of its mailboxes.
    """
    stored = await app.stores.registrations.get(_checked(registration_id))
    # Nobody guesses the id of a registration, so there is nothing to tell apart for who may not see it.
    if stored is None or not all(caller.can_access(mailbox.account) for mailbox in stored.value.mailboxes):
        raise NotFound("No such registration")
    reads_accounts = caller.has_scope(Scope.ACCOUNTS_READ)
    return Description(stored.value, stored.value.status_at(app.clock()), reads_accounts=reads_accounts).answer()


@resource.delete(
    "/v1/authentication/form/{registration}",
    Action.CANCEL_REGISTRATION,
    Scope.REGISTER,
    checks_reach=True,
    refusals=[404, 409],
)
async def end_registration(app: App, caller: Caller, registration_id: RegistrationId) -> EndedRegistration:
    """End a registration.

    Ends the link, and every sign-in through it that has not bound a mailbox yet.
    """
    ended = await start.cancel_registration(app, _checked(registration_id), caller)
    add_accounts_to_audit(mailbox.account for mailbox in ended.mailboxes)
    add_to_audit(target=ended.id)
    status = ended.status_at(app.clock())
    return EndedRegistration(registration=ended.id, deleted=status is RegistrationStatus.CANCELLED, status=status)


@resource.post(
    "/v1/account/{account}/reauthorize",
    Action.REAUTHORIZE_ACCOUNT,
    Scope.REGISTER,
    uses_form_limit=True,
    refusals=[400, 404, 409],
)
async def reauthorize_account(
    app: App, caller: Caller, account_id: AccountId, body: Reauthorization, faults: Faults
) -> Link:
    """Repair an account.

    Creates a sign-in link that repairs the account, for the same person and mailbox. With `allowPrincipalChange`,
    another person who may open the mailbox can use it too, for example when the person is gone.
    """
    started = await start.reauthorize_account(
        app,
        account_id,
        body.redirect_url or None,
        faults,
        caller,
        allow_principal_change=body.allow_principal_change is True,
    )
    add_to_audit(target=started.registration)
    return link(started)


def _checked(registration_id: str) -> str:
    """Raises NotFound for what cannot be a registration's id."""
    if not REGISTRATION_ID_PATTERN.fullmatch(registration_id):
        raise NotFound("No such registration")
    return registration_id


def _check_mailboxes(body: RegistrationForm, faults: Faults) -> None:
    """With several mailboxes, each has its own fields, and all of them are shared ones."""
    if body.mailboxes is UNSET:
        return
    for name, value in (("account", body.account), ("email", body.email), ("name", body.name)):
        if value:
            faults.add(name, 'must be absent when "mailboxes" is given: each of them has its own')
    if body.delegated is False:
        faults.add("delegated", 'must be true or absent when "mailboxes" is given: they are shared mailboxes')


def _invitation(body: RegistrationForm) -> Invitation:
    return Invitation(
        redirect_url=body.redirect_url or None,
        account=body.account or None,
        name=body.name or None,
        email=body.email or None,
        expected_email=body.expected_email or None,
        expected_tenant=body.expected_tenant or None,
        delegated=bool(body.delegated),
        type=body.type or None,
        allow_principal_change=bool(body.allow_principal_change),
        change_mailbox=bool(body.change_mailbox),
        hand_out=None if body.hand_out is UNSET else body.hand_out,
        mailboxes=tuple(
            invited_mailbox.InvitedMailbox(mailbox.account or "", mailbox.email or None, mailbox.name or None)
            for mailbox in body.mailboxes or ()
        ),
    )


class Description(NamedTuple):
    """A registration as callers see it; the link itself is not known any more.

    A caller who may not read accounts sees the mailbox of an existing account only if the form named it.
    """

    registration: PendingRegistration
    status: RegistrationStatus
    reads_accounts: bool

    def answer(self) -> Registration:
        """The answer."""
        registration = self.registration
        answer = Registration(
            registration=registration.id,
            status=self.status,
            delegated=registration.delegated,
            type=registration.app or None,
            created=moment(registration.created),
            expires=moment(registration.expires),
            completed=moment(registration.completed),
            mailboxes=[self._outcome(mailbox) for mailbox in registration.mailboxes],
        )
        if registration.only_mailbox is not None:
            answer.account, answer.email = registration.only_mailbox.account, self._email(registration.only_mailbox)
            if registration.only_mailbox.state.is_bound:
                answer.state = registration.only_mailbox.state
        if registration.failure is not None:
            answer.failure = failure(registration.failure)
        return answer

    def _outcome(self, mailbox: invited_mailbox.InvitedMailbox) -> MailboxOutcome:
        outcome = MailboxOutcome(account=mailbox.account, email=self._email(mailbox), state=mailbox.state)
        if mailbox.failure is not None:
            why = failure(mailbox.failure)
            outcome.code, outcome.description, outcome.action = why.code, why.description, why.action
        return outcome

    def _email(self, mailbox: invited_mailbox.InvitedMailbox) -> str | None:
        is_known = self.reads_accounts or mailbox.named or mailbox.state is MailboxState.NEW
        return mailbox.email if is_known else None


def failure(code: str) -> Failure:
    """A failure in words."""
    advice = remedy(code, Reader.CALLER)
    return Failure(code=code, description=advice.what, action=advice.action)
