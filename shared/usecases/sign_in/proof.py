"""Check the rules of binding, and prove that the mailbox opens for the person, before anything is bound.

The proof comes from Microsoft, requested with the new token; nothing from the browser is trusted. A person is
identified by `tid` and `oid`. If a caller names an address instead, it is compared with the user principal name in
Graph. Graph's `mail` and `proxyAddresses`, earlier sign-in names of the same person, and the name in the ID token if
Graph is not used, count only within one tenant: the app's only tenant, the tenant that the caller named, or the tenant
that operators assigned the address's domain to.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from shared.domain.account import MAILBOX_REPLACED, Account, ExpectedPerson, Principal
from shared.domain.clouds import Resource
from shared.domain.errors import EntraBusy
from shared.domain.failure import FailureKind
from shared.domain.formats import same_address, same_id
from shared.domain.invited_mailbox import BindRequest, ComparedAddresses
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

# Table keys are case-sensitive (Understanding the Table service data model), but they are made of lower-cased ids.
OTHER_SPELLING = "account_id_in_use"
MAX_ACCOUNTS_PER_GRANT = 500
# Among the accounts of one grant.
MAX_ACCOUNTS_PER_MAILBOX = 10


class AccessRefused(Exception):
    """The person or the mailbox is refused; `code` says why. Nothing was changed.

    `claims` are those of a claims challenge, which the next sign-in has to carry. `compared` are two addresses that are
    not the same person's.
    """

    def __init__(self, code: str, claims: str | None = None, compared: ComparedAddresses | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.claims = claims
        self.compared = compared


class Proof(NamedTuple):
    """The mailbox that opened, and its name. `inbox_id` is None if the protocol does not identify mailboxes."""

    email: str
    name: str
    shared: bool
    inbox_id: str | None = None


async def identify_person(
    app: App, oauth_app: OAuthApp, signed_in: SignedIn, expected: ExpectedPerson, known_names: Iterable[str] = ()
) -> Person:
    """Return the person's profile. Raises AccessRefused if they are not the expected one, and MailboxUnavailable.

    `known_names` are sign-in names that the same person has, or had, here.
    """
    if expected.tenant and not same_id(expected.tenant, signed_in.principal.tenant_id):
        raise AccessRefused("unexpected_person")
    try:
        person = await _read_profile(app, oauth_app, signed_in)
    except MailboxRefused as refused:
        raise AccessRefused(refused.refusal.value, refused.claims) from None
    trusted_addresses = frozenset(
        address
        for address in (person.mail, *person.addresses, *known_names)
        if address and (expected.tenant or oauth_app.trusts_mail(address, signed_in.principal.tenant_id))
    )
    mail = person.mail if person.mail in trusted_addresses else None
    person = person._replace(mail=mail, trusted_addresses=trusted_addresses)
    if expected.email and not person.is_named(expected.email):
        signed_in_name = person.user_principal_name or signed_in.principal.sign_in_name
        raise AccessRefused("unexpected_person", compared=ComparedAddresses(expected.email, signed_in_name))
    return person


async def prove_mailbox(
    app: App, request: BindRequest, oauth_app: OAuthApp, signed_in: SignedIn, person: Person, existing: Account | None
) -> Proof:
    """Open the mailbox with the new token. Raises AccessRefused and MailboxUnavailable."""
    expected_proof = _shared_mailbox if request.delegated else _own_mailbox
    proof = expected_proof(request, existing, signed_in.principal, person)
    tokens = signed_in.tokens
    if proof.shared and not covers_shared_mailboxes(tokens.scopes):
        raise AccessRefused("missing_scope")
    try:
        inbox_id = await app.microsoft.probes[tokens.resource].open(
            oauth_app, tokens.access_token, proof.email, shared=proof.shared
        )
    except MailboxRefused as refused:
        raise AccessRefused(refused.refusal.value) from None
    if proof.shared and inbox_id is not None and inbox_id == person.inbox:
        raise AccessRefused("own_mailbox")
    proof = proof._replace(inbox_id=inbox_id)
    check_mailbox(request, proof, existing)
    return proof


async def _read_profile(app: App, oauth_app: OAuthApp, signed_in: SignedIn) -> Person:
    """Read the person's profile from Graph if the app may, even when it opens mailboxes by IMAP."""
    tokens = signed_in.tokens
    person = await app.microsoft.probes[tokens.resource].person(oauth_app, signed_in)
    if tokens.resource is Resource.GRAPH or not oauth_app.can_read_profiles:
        return person
    try:
        graph_tokens = await app.microsoft.entra.refresh(
            oauth_app, tokens.refresh_token, Resource.GRAPH, principal=signed_in.principal
        )
    except EntraFailed as failed:
        if failed.failure.kind in {FailureKind.TRANSIENT, FailureKind.APP_FAULT} or not failed.failure.confirmed:
            raise MailboxUnavailable from None
        raise AccessRefused(failed.failure.code) from None
    except EntraBusy:
        raise MailboxUnavailable from None
    return await app.microsoft.probes[Resource.GRAPH].person(oauth_app, SignedIn(signed_in.principal, graph_tokens))


def check_principal(
    request: BindRequest, oauth_app: OAuthApp, principal: Principal, holder: Account | None, partition: Partition
) -> None:
    """Check the rules of binding that need no mailbox. Raises AccessRefused.

    A shared mailbox stays one, and so does a person's own mailbox. An account keeps its principal, mailbox and OAuth
    app, and one principal authorizes one account, unless the form or the OAuth app allows otherwise. `holder` is the
    account that has the requested id now; it is another one if the ids differ in case.
    """
    # Pending and further accounts are bound long after the sign-in. Operators may have removed the tenant meanwhile.
    if principal.tenant_id not in oauth_app.tenants:
        raise AccessRefused("tenant_not_allowed")
    if request.pinned_to is not None and request.pinned_to != principal.id:
        raise AccessRefused("wrong_principal")
    if holder is not None:
        _check_holder(request, oauth_app, principal, holder)
    others = [stored for stored in partition.accounts.values() if not same_id(stored.value.id, request.account)]
    if others and not oauth_app.credential_reuse:
        raise AccessRefused("principal_in_use")
    _check_account_limits(request, partition.served_by(oauth_app.id))


def _check_holder(request: BindRequest, oauth_app: OAuthApp, principal: Principal, holder: Account) -> None:
    if holder.id != request.account:
        raise AccessRefused(OTHER_SPELLING)
    if holder.principal_id != principal.id:
        if holder.registration == request.by:
            raise AccessRefused("link_used")
        # The own mailbox of another person is another mailbox too, so the request must name it.
        unnamed = not holder.shared and request.email is None
        if unnamed or not request.allow_principal_change:
            raise AccessRefused("wrong_principal")
    if holder.shared is not request.delegated:
        raise AccessRefused("other_kind")
    if not request.change_mailbox and _opens_other_mailbox(request, principal, holder):
        raise AccessRefused("other_mailbox")
    if not request.may_change and holder.app != oauth_app.id:
        raise AccessRefused("other_app")


def _check_account_limits(request: BindRequest, served: Sequence[Stored[Account]]) -> None:
    """Limit the accounts of a grant, because each one is probed, and gets an event when the grant changes."""
    if any(same_id(stored.value.id, request.account) for stored in served):
        return
    same_mailbox = [stored for stored in served if _has_requested_mailbox(stored.value, request)]
    if len(served) >= MAX_ACCOUNTS_PER_GRANT or len(same_mailbox) >= MAX_ACCOUNTS_PER_MAILBOX:
        raise AccessRefused("too_many_accounts")


def _has_requested_mailbox(account: Account, request: BindRequest) -> bool:
    if not request.delegated:
        return not account.shared
    return account.shared and request.email is not None and same_address(account.email, request.email)


def _opens_other_mailbox(request: BindRequest, principal: Principal, holder: Account) -> bool:
    """Whether the account would get another mailbox, as far as that is known before the mailbox is opened.

    The own mailbox of the same person stays the same under a new address. If the account's inbox id is known,
    `check_mailbox` decides later.
    """
    if not holder.shared:
        return holder.principal_id != principal.id
    return holder.inbox_id is None and request.email is not None and not same_address(request.email, holder.email)


def check_mailbox(request: BindRequest, proof: Proof, holder: Account | None) -> None:
    """Raise AccessRefused if the account would get another mailbox and the form has no `changeMailbox`.

    The inbox id decides, not the address: a mailbox with a new address is the same mailbox, and another mailbox with
    the old address is a different one.
    """
    if holder is None or request.change_mailbox:
        return
    has_same_address = same_address(proof.email, holder.email)
    if holder.inbox_id is not None and proof.inbox_id is not None:
        is_other_mailbox = holder.inbox_id != proof.inbox_id
    else:
        is_other_mailbox = holder.replaced_since is not None if has_same_address else holder.shared
    if is_other_mailbox:
        raise AccessRefused(MAILBOX_REPLACED if has_same_address else "other_mailbox")


def _shared_mailbox(request: BindRequest, existing: Account | None, principal: Principal, person: Person) -> Proof:
    email = request.email
    if email is None or any(same_address(email, own) for own in {principal.sign_in_name, *person.addresses}):
        raise AccessRefused("own_mailbox")
    # A shared mailbox never gets the personal name of the person.
    return Proof(email, request.name or (existing.name if existing else email), shared=True)


def _own_mailbox(request: BindRequest, existing: Account | None, principal: Principal, person: Person) -> Proof:
    """The address comes from Microsoft, even if the request has another one."""
    current_email = existing.email if existing is not None and existing.principal_id == principal.id else None
    email = person.mail or person.user_principal_name or principal.sign_in_name
    if request.email and not (person.is_named(request.email) or same_address(request.email, current_email)):
        raise AccessRefused("email_mismatch", compared=ComparedAddresses(request.email, email))
    return Proof(email, request.name or (existing.name if existing else person.name or email), shared=False)
