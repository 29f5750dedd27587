"""Bind accounts, in the same way after a sign-in, for pending accounts and for further accounts.

`bind_invited_mailboxes` checks the caller, `prove_and_bind` proves all mailboxes, `bind_with_retries` binds one of
them, `_claim_and_write` makes one attempt, and `write_transaction` writes it.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from shared.domain.account import Account, ExpectedPerson
from shared.domain.caller import can_change_accounts, can_register
from shared.domain.errors import Conflict
from shared.domain.formats import same_address, same_id
from shared.domain.invited_mailbox import LINK_CANCELLED, BindRequest, InvitedMailbox, MailboxResult, MailboxState
from shared.domain.oauth_app import OAuthApp
from shared.domain.registration import PendingRegistration, RegistrationStatus
from shared.ports import App, MailboxUnavailable, Partition, Person, SignedIn, retry_on_conflict
from shared.usecases.accounts.change import remove_account_row
from shared.usecases.accounts.mailbox_index import forget_mailbox
from shared.usecases.accounts.read import account_behind, find_account
from shared.usecases.callers.identify import standing_caller
from shared.usecases.sign_in.link import LINK_WITHDRAWN
from shared.usecases.sign_in.proof import (
    AccessRefused,
    Proof,
    check_mailbox,
    check_principal,
    identify_person,
    prove_mailbox,
)
from shared.usecases.sign_in.write_binding import (
    ProvenRequest,
    claim_account_id,
    confirm_claim,
    release_claim,
    write_transaction,
)

log = logging.getLogger(__name__)

MAX_PROOFS_AT_ONCE = 8


class Bound(NamedTuple):
    """The bound account, and whether its id existed before: `new` or `existing`."""

    account: Account
    state: MailboxState


async def bind_invited_mailboxes(
    app: App,
    registration: PendingRegistration,
    oauth_app: OAuthApp,
    signed_in: SignedIn,
    mailboxes: Collection[InvitedMailbox] | None = None,
) -> Mapping[str, MailboxResult]:
    """Bind these mailboxes of a registration, or all that are still open. Returns the results by account.

    Raises AccessRefused if the person, or the caller that requested the link, is refused.
    """
    mailboxes = registration.unsettled_mailboxes if mailboxes is None else mailboxes
    requester = await standing_caller(app, registration.requested_by)
    if not can_register(requester, (mailbox.account for mailbox in mailboxes)):
        raise AccessRefused(LINK_WITHDRAWN)
    may_change = can_change_accounts(requester)
    requests = [registration.bind_request(mailbox).with_permissions(may_change=may_change) for mailbox in mailboxes]
    return await prove_and_bind(app, requests, oauth_app, signed_in, registration.expected_person)


async def prove_and_bind(
    app: App, requests: Collection[BindRequest], oauth_app: OAuthApp, signed_in: SignedIn, expected: ExpectedPerson
) -> Mapping[str, MailboxResult]:
    """Prove the mailboxes side by side, then bind those that opened, one after the other.

    Returns the results by account. While Microsoft does not answer, a mailbox waits for access.
    """
    partition = await app.stores.principals.partition(signed_in.principal.id)
    holders, results = await _check_principals(app, requests, oauth_app, signed_in, partition)
    allowed = [request for request in requests if request.account not in results]
    if not allowed:
        return results
    known_names = [name for stored in partition.accounts.values() for name in stored.value.principal_names]
    try:
        person = await identify_person(app, oauth_app, signed_in, expected, known_names)
    except MailboxUnavailable as unavailable:
        outage = MailboxResult(MailboxState.WAITING_FOR_ACCESS, unavailable.code)
        return results | {request.account: outage for request in allowed}
    sign_in_name = person.user_principal_name or signed_in.principal.sign_in_name
    signed_in = signed_in._replace(principal=replace(signed_in.principal, sign_in_name=sign_in_name))
    proofs = await _prove_mailboxes(app, allowed, oauth_app, signed_in, person, holders)
    bound_by_inbox = {account.value.inbox_id: account.value for account in partition.accounts.values()}
    for request, proof in zip(allowed, proofs, strict=True):
        if isinstance(proof, Proof):
            proven = ProvenRequest(request, oauth_app, signed_in, proof)
            results[request.account] = await _bind_unless_duplicate(app, proven, bound_by_inbox)
        else:
            results[request.account] = proof
    return results


async def _prove_mailboxes(
    app: App,
    requests: Collection[BindRequest],
    oauth_app: OAuthApp,
    signed_in: SignedIn,
    person: Person,
    holders: Mapping[str, Account | None],
) -> Sequence[Proof | MailboxResult]:
    slots = asyncio.Semaphore(MAX_PROOFS_AT_ONCE)

    async def prove(request: BindRequest) -> Proof | MailboxResult:
        async with slots:
            try:
                return await prove_mailbox(app, request, oauth_app, signed_in, person, holders[request.account])
            except AccessRefused as refused:
                return MailboxResult(MailboxState.REFUSED, refused.code, compared=refused.compared)
            except MailboxUnavailable as unavailable:
                return MailboxResult(MailboxState.WAITING_FOR_ACCESS, unavailable.code)

    return await asyncio.gather(*map(prove, requests))


async def _check_principals(
    app: App, requests: Collection[BindRequest], oauth_app: OAuthApp, signed_in: SignedIn, partition: Partition
) -> tuple[dict[str, Account | None], dict[str, MailboxResult]]:
    """Return who holds each account id now, and the requests that are refused without a call to Graph."""
    existing = await asyncio.gather(*(find_account(app, request.account) for request in requests))
    holders = {
        request.account: found.account.value if found else None
        for request, found in zip(requests, existing, strict=True)
    }
    results = {}
    for request in requests:
        try:
            check_principal(request, oauth_app, signed_in.principal, holders[request.account], partition)
        except AccessRefused as refused:
            results[request.account] = MailboxResult(MailboxState.REFUSED, refused.code)
    return holders, results


async def _bind_unless_duplicate(
    app: App, proven: ProvenRequest, bound_by_inbox: dict[str | None, Account]
) -> MailboxResult:
    """Bind the account, unless the same link bound the mailbox under another address. Updates `bound_by_inbox`."""
    request, inbox_id = proven.request, proven.proof.inbox_id
    other = bound_by_inbox.get(inbox_id) if inbox_id is not None else None
    if other is not None and other.registration == request.by and not same_id(other.id, request.account):
        return MailboxResult(MailboxState.REFUSED, "same_mailbox")
    try:
        bound = await bind_with_retries(app, proven)
    except AccessRefused as refused:
        return MailboxResult(MailboxState.REFUSED, refused.code)
    bound_by_inbox[inbox_id] = bound.account
    return MailboxResult(bound.state, email=bound.account.email)


async def bind_with_retries(app: App, proven: ProvenRequest) -> Bound:
    """Bind the account, or raise AccessRefused with nothing changed.

    Every step can be repeated, and the claim of an attempt that was never written is taken over.
    """
    try:
        return await retry_on_conflict(partial(_claim_and_write, app, proven))
    except AccessRefused:
        await release_claim(app, proven)
        raise
    except Conflict:
        raise AccessRefused("account_busy") from None


async def _claim_and_write(app: App, proven: ProvenRequest) -> Bound:
    """One attempt. Raises StaleWrite after a conflict, and AccessRefused."""
    if proven.request.through is None:
        proven = proven._replace(request=await _check_link(app, proven.request))
    request, principal = proven.request, proven.signed_in.principal
    partition = await app.stores.principals.partition(principal.id)
    entry = await app.stores.directory.get(request.account)
    found = await account_behind(app, entry) if entry else None
    holder = found.account.value if found else None
    check_principal(request, proven.app, principal, holder, partition)
    check_mailbox(request, proven.proof, holder)
    claimed = await claim_account_id(app, proven, entry, holder)
    if request.through is None:
        # If another tab of the same person completed the link meanwhile, both tabs bind the same account.
        stored = await app.stores.registrations.for_account(request.by, request.account)
        _check_not_ended(stored.value.mailbox_for(request.account) if stored else None)
    account = await write_transaction(app, proven, partition, holder)
    await confirm_claim(app, claimed, account, partition)
    if holder is not None and holder.principal_id != principal.id:
        await remove_account_row(app, holder)
    if holder is not None and not same_address(holder.email, account.email):
        await forget_mailbox(app, holder)
    # After a crash before the registration was updated, the holder is the new account of this very registration.
    existed = holder is not None and (holder.registration != request.by or holder.created != holder.bound)
    state = MailboxState.EXISTING if existed else MailboxState.NEW
    ids = {"account": account.id, "by": request.by, "principal": principal.id}
    log.info("mailbox bound", extra={**ids, "state": state})
    return Bound(account, state)


async def _check_link(app: App, request: BindRequest) -> BindRequest:
    """Return the request with the authority that its caller has now. Raises AccessRefused if the link has ended.

    Expiry is postponed while a binding is in progress; optimistic locking decides between the two.
    """
    stored = await app.stores.registrations.for_account(request.by, request.account)
    mailbox = stored.value.mailbox_for(request.account) if stored else None
    _check_not_ended(mailbox)
    if stored is None or mailbox is None or mailbox.is_settled:
        raise AccessRefused("link_used")
    registration, now = stored.value, app.clock()
    if registration.stage is RegistrationStatus.EXPIRED:
        raise AccessRefused("link_expired")
    if registration.expires_during_binding(now):
        await app.stores.registrations.replace(stored, replace(registration, being_bound=now))
    requester = await standing_caller(app, registration.requested_by)
    if not can_register(requester, [request.account]):
        raise AccessRefused(LINK_WITHDRAWN)
    return request.with_permissions(may_change=can_change_accounts(requester))


def _check_not_ended(mailbox: InvitedMailbox | None) -> None:
    if mailbox is not None and mailbox.state in {MailboxState.REPLACED, MailboxState.CANCELLED}:
        raise AccessRefused(mailbox.failure or LINK_CANCELLED)
