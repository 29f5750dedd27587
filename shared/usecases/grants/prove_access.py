"""Prove that a signed-in person may have what a registration asks for, before anything is bound."""

from dataclasses import dataclass

from shared.domain.account import Account
from shared.domain.address import same_address
from shared.domain.invited_mailbox import BindRequest
from shared.domain.keys import same_id
from shared.domain.oauth_app import OAuthApp, opens_shared_mailboxes
from shared.domain.principal import Principal
from shared.ports import MailboxProbes, MailboxRefused, Partition, Person, SignedIn
from shared.usecases import use_case


class AccessRefused(Exception):
    """Not this person, or not this mailbox; `code` says why. Nothing was changed."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Proof:
    """The mailbox that opened, and the name it goes by."""

    email: str
    name: str
    shared: bool


@use_case
class ProveAccess:
    """Asks Microsoft, by whatever the new token is for; trusts nothing that the browser said."""

    probes: MailboxProbes

    async def person(self, app: OAuthApp, signed_in: SignedIn, expected_email: str | None) -> Person:
        """Who has signed in. Raises AccessRefused when that is not whom the link is for, and MailboxUnavailable."""
        try:
            person = await self.probes[signed_in.tokens.resource].person(app, signed_in)
        except MailboxRefused as refused:
            raise AccessRefused(refused.refusal.value) from None
        if expected_email and not _is_theirs(expected_email, signed_in.principal, person):
            raise AccessRefused("unexpected_person")
        return person

    async def __call__(
        self, request: BindRequest, app: OAuthApp, signed_in: SignedIn, person: Person, existing: Account | None
    ) -> Proof:
        """Open the mailbox with the new token. Raises AccessRefused and MailboxUnavailable."""
        prove = _shared if request.delegated else _own
        proof = prove(request, existing, signed_in.principal, person)
        tokens = signed_in.tokens
        if proof.shared and not opens_shared_mailboxes(tokens.scopes):
            raise AccessRefused("missing_scope")
        try:
            await self.probes[tokens.resource].open(app, tokens.access_token, proof.email, shared=proof.shared)
        except MailboxRefused as refused:
            raise AccessRefused(refused.refusal.value) from None
        return proof


def check_principal(
    request: BindRequest, app: OAuthApp, principal: Principal, holder: Account | None, partition: Partition
) -> None:
    """Hold the rules of binding that need no mailbox. Raises AccessRefused.

    An account that exists stays the kind that it is. It keeps its principal, mailbox and OAuth app, and one principal
    authorizes one account, unless the form or the OAuth app says otherwise.
    """
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
    if holder is not None and not request.may_change and holder.app != app.id:
        raise AccessRefused("other_app")
    others = [stored for stored in partition.accounts.values() if not same_id(stored.value.id, request.account)]
    if others and not app.credential_reuse:
        raise AccessRefused("principal_in_use")


def _is_moved(request: BindRequest, principal: Principal, holder: Account) -> bool:
    """Whether the account would open another mailbox; a person's own mailbox is the same under a new address."""
    if not holder.shared:
        return holder.principal_id != principal.id
    return request.email is not None and not same_address(request.email, holder.email)


def _is_theirs(address: str, principal: Principal, person: Person) -> bool:
    return any(same_address(address, known) for known in {principal.sign_in_name, *person.addresses})


def _shared(request: BindRequest, existing: Account | None, principal: Principal, person: Person) -> Proof:
    email = request.email
    if email is None or _is_theirs(email, principal, person):
        raise AccessRefused("own_mailbox")
    # A shared mailbox never gets the signer's personal name.
    return Proof(email, request.name or (existing.name if existing else email), shared=True)


def _own(request: BindRequest, existing: Account | None, principal: Principal, person: Person) -> Proof:
    if request.email and not _is_theirs(request.email, principal, person):
        raise AccessRefused("email_mismatch")
    email = request.email or person.email or principal.sign_in_name
    return Proof(email, request.name or (existing.name if existing else person.name or email), shared=False)
