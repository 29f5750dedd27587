"""Prove that a signed-in person may have what a registration asks for, before anything is bound.

Microsoft is asked with the new token; nothing that the browser says is trusted. A person is their `tid` and `oid`.
Where a caller names an address instead, it is compared with the user principal name in Graph. Graph's `mail`, and the
name in the ID token where Graph is not asked, count only within one tenant: the app's only tenant, the one that the
caller named, or the one that operators assigned the address's domain to.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.domain.account import MAILBOX_REPLACED, Account, ExpectedPerson, Principal
from shared.domain.clouds import Resource
from shared.domain.failure import FailureKind
from shared.domain.formats import same_address, same_id
from shared.domain.invited_mailbox import BindRequest
from shared.domain.oauth_app import OAuthApp, covers_shared_mailboxes
from shared.ports import (
    App,
    EntraFailed,
    MailboxRefused,
    MailboxUnavailable,
    Partition,
    Person,
    SignedIn,
    Stored,
)

# Accounts of one grant, and of one mailbox within it.
MAX_ACCOUNTS, MAX_ACCOUNTS_OF_MAILBOX = 500, 10


class AccessRefused(Exception):
    """This person or this mailbox is refused; `code` says why. Nothing was changed."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Proof:
    """The mailbox that opened, and its name. `inbox_id` is None where the protocol does not identify the mailbox."""

    email: str
    name: str
    shared: bool
    inbox_id: str | None = None


async def identify_person(app: App, oauth_app: OAuthApp, signed_in: SignedIn, expected: ExpectedPerson) -> Person:
    """The person who signed in. Raises AccessRefused when the link is for somebody else, and MailboxUnavailable."""
    if expected.tenant and not same_id(expected.tenant, signed_in.principal.tenant_id):
        raise AccessRefused("unexpected_person")
    try:
        person = await _profile(app, oauth_app, signed_in)
    except MailboxRefused as refused:
        raise AccessRefused(refused.refusal.value) from None
    trusted = expected.tenant or oauth_app.trusts_mail(person.mail or "", signed_in.principal.tenant_id)
    if not trusted:
        person = replace(person, mail=None)
    if expected.email and not person.is_named(expected.email):
        raise AccessRefused("unexpected_person")
    return person


async def prove_mailbox(
    app: App, request: BindRequest, oauth_app: OAuthApp, signed_in: SignedIn, person: Person, existing: Account | None
) -> Proof:
    """Open the mailbox with the new token. Raises AccessRefused and MailboxUnavailable."""
    prove = _shared if request.delegated else _own
    proof = prove(request, existing, signed_in.principal, person)
    tokens = signed_in.tokens
    if proof.shared and not covers_shared_mailboxes(tokens.scopes):
        raise AccessRefused("missing_scope")
    try:
        opened = await app.microsoft.probes[tokens.resource].open(
            oauth_app, tokens.access_token, proof.email, shared=proof.shared
        )
    except MailboxRefused as refused:
        raise AccessRefused(refused.refusal.value) from None
    if proof.shared and opened is not None and opened == person.inbox:
        raise AccessRefused("own_mailbox")
    proof = replace(proof, inbox_id=opened)
    check_mailbox(request, proof, existing)
    return proof


async def _profile(app: App, oauth_app: OAuthApp, signed_in: SignedIn) -> Person:
    """The person's profile from Graph where the app may read it, even when it opens mailboxes by IMAP."""
    tokens = signed_in.tokens
    person = await app.microsoft.probes[tokens.resource].person(oauth_app, signed_in)
    if tokens.resource is Resource.GRAPH or not oauth_app.can_read_profiles:
        return person
    try:
        profile = await app.microsoft.entra.refresh(oauth_app, tokens.refresh_token, Resource.GRAPH)
    except EntraFailed as failed:
        if failed.failure.kind in {FailureKind.TRANSIENT, FailureKind.APP_FAULT}:
            raise MailboxUnavailable from None
        raise AccessRefused(failed.failure.code) from None
    return await app.microsoft.probes[Resource.GRAPH].person(oauth_app, SignedIn(signed_in.principal, profile))


def check_principal(
    request: BindRequest, oauth_app: OAuthApp, principal: Principal, holder: Account | None, partition: Partition
) -> None:
    """Check the rules of binding that need no mailbox. Raises AccessRefused.

    An existing account stays a shared or an own mailbox. It keeps its principal, mailbox and OAuth app, and one
    principal authorizes one account, unless the form or the OAuth app says otherwise.
    """
    # Waiting sign-ins and further accounts come long after the sign-in, and operators may have taken the tenant away.
    if principal.tenant_id not in oauth_app.tenants:
        raise AccessRefused("tenant_not_allowed")
    if request.pinned_to is not None and request.pinned_to != principal.id:
        raise AccessRefused("wrong_principal")
    if holder is not None and holder.principal_id != principal.id:
        if holder.registration == request.by:
            raise AccessRefused("link_used")
        # Another person's own mailbox is another mailbox too: it has to be named.
        unnamed = not holder.shared and request.email is None
        if unnamed or not request.allow_principal_change:
            raise AccessRefused("wrong_principal")
    if holder is not None and holder.shared is not request.delegated:
        raise AccessRefused("other_kind")
    if holder is not None and not request.change_mailbox and _is_moved(request, principal, holder):
        raise AccessRefused("other_mailbox")
    if holder is not None and not request.may_change and holder.app != oauth_app.id:
        raise AccessRefused("other_app")
    others = [stored for stored in partition.accounts.values() if not same_id(stored.value.id, request.account)]
    if others and not oauth_app.credential_reuse:
        raise AccessRefused("principal_in_use")
    _check_room(request, partition.served_by(oauth_app.id))


def _check_room(request: BindRequest, served: Sequence[Stored[Account]]) -> None:
    """Limit the accounts of a grant, because each is probed, and gets an event when the grant changes."""
    if any(same_id(stored.value.id, request.account) for stored in served):
        return
    same = [stored for stored in served if _is_same_mailbox(stored.value, request)]
    if len(served) >= MAX_ACCOUNTS or len(same) >= MAX_ACCOUNTS_OF_MAILBOX:
        raise AccessRefused("too_many_accounts")


def _is_same_mailbox(account: Account, request: BindRequest) -> bool:
    if not request.delegated:
        return not account.shared
    return account.shared and request.email is not None and same_address(account.email, request.email)


def _is_moved(request: BindRequest, principal: Principal, holder: Account) -> bool:
    """Whether the account would open another mailbox, as far as that shows before the mailbox is opened.

    A person's own mailbox is the same under a new address, and so is one whose inbox is known to be the same.
    """
    if not holder.shared:
        return holder.principal_id != principal.id
    return holder.inbox_id is None and request.email is not None and not same_address(request.email, holder.email)


def check_mailbox(request: BindRequest, proof: Proof, holder: Account | None) -> None:
    """Hold that an account keeps its mailbox. Raises AccessRefused.

    What opened decides, not what it is called: the same mailbox under a new address is the same, and another mailbox
    under the same address is another one. A form with `changeMailbox` says that the other one is meant.
    """
    if holder is None or request.change_mailbox:
        return
    known, opened, named_alike = holder.inbox_id, proof.inbox_id, same_address(proof.email, holder.email)
    if known is not None and opened is not None:
        moved = known != opened
    else:
        moved = holder.replaced_since is not None if named_alike else holder.shared
    if moved:
        raise AccessRefused(MAILBOX_REPLACED if named_alike else "other_mailbox")


def _shared(request: BindRequest, existing: Account | None, principal: Principal, person: Person) -> Proof:
    email = request.email
    if email is None or any(same_address(email, known) for known in {principal.sign_in_name, *person.addresses}):
        raise AccessRefused("own_mailbox")
    # A shared mailbox never gets the signer's personal name.
    return Proof(email, request.name or (existing.name if existing else email), shared=True)


def _own(request: BindRequest, existing: Account | None, principal: Principal, person: Person) -> Proof:
    """The address is what Microsoft tells, whatever the request said."""
    theirs = existing.email if existing is not None and existing.principal_id == principal.id else None
    if request.email and not (person.is_named(request.email) or same_address(request.email, theirs)):
        raise AccessRefused("email_mismatch")
    email = person.mail or person.user_principal_name or principal.sign_in_name
    return Proof(email, request.name or (existing.name if existing else person.name or email), shared=False)
