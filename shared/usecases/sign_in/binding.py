"""From proven mailboxes to bound accounts: the one way for sign-ins, waiting sign-ins and further accounts."""

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial

from shared.domain.account import Account, ExpectedPerson
from shared.domain.errors import Conflict
from shared.domain.formats import same_id
from shared.domain.invited_mailbox import LINK_CANCELLED, BindRequest, InvitedMailbox, MailboxResult, MailboxState
from shared.domain.oauth_app import OAuthApp
from shared.domain.registration import PendingRegistration, RegistrationStatus
from shared.domain.webhook import can_change_accounts, can_register
from shared.ports import App, MailboxUnavailable, Partition, Person, SignedIn, retry_on_conflict
from shared.usecases.accounts.change import remove_leftover
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

AT_ONCE = 8
OUTAGE = MailboxResult(MailboxState.WAITING_FOR_ACCESS, "graph_unavailable")


async def bind_invited_mailboxes(
    app: App,
    asked: PendingRegistration,
    oauth_app: OAuthApp,
    signed_in: SignedIn,
    mailboxes: Collection[InvitedMailbox] | None = None,
) -> Mapping[str, MailboxResult]:
    """What became of these mailboxes, or of all that are still open, by account; with Graph away they wait.

    Nothing is bound before its mailbox opened. Mailboxes are proven side by side, and bound one after the other.

    Raises AccessRefused when it is not about a mailbox but about who signed in, or who asked for the link.
    """
    wanted = asked.unsettled_mailboxes if mailboxes is None else mailboxes
    requester = await standing_caller(app, asked.requested_by)
    if not can_register(requester, (mailbox.account for mailbox in wanted)):
        raise AccessRefused(LINK_WITHDRAWN)
    may_change = can_change_accounts(requester)
    requests = [asked.bind_request(mailbox).with_permissions(may_change=may_change) for mailbox in wanted]
    return await prove_and_bind(app, requests, oauth_app, signed_in, asked.expected_person)


async def prove_and_bind(
    app: App, requests: Collection[BindRequest], oauth_app: OAuthApp, signed_in: SignedIn, expected: ExpectedPerson
) -> Mapping[str, MailboxResult]:
    """The same for what was asked for without a link too."""
    partition = await app.stores.principals.partition(signed_in.principal.id)
    holders, refused = await _check_principals(app, requests, oauth_app, signed_in, partition)
    left = [request for request in requests if request.account not in refused]
    if not left:
        return refused
    try:
        person = await identify_person(app, oauth_app, signed_in, expected)
    except MailboxUnavailable:
        return refused | {request.account: OUTAGE for request in left}
    signed_in = _named(signed_in, person)
    slots = asyncio.Semaphore(AT_ONCE)

    async def proof(request: BindRequest) -> Proof | MailboxResult:
        async with slots:
            return await _try_to_prove(app, request, oauth_app, signed_in, person, holders[request.account])

    proofs = await asyncio.gather(*map(proof, left))
    results = dict(refused)
    bound = {account.value.inbox_id: account.value for account in partition.accounts.values()}
    for request, proven in zip(left, proofs, strict=True):
        if isinstance(proven, Proof):
            results[request.account] = await _bind_unless_same(
                app, ProvenRequest(request, oauth_app, signed_in, proven), bound
            )
        else:
            results[request.account] = proven
    return results


async def _check_principals(
    app: App, requests: Collection[BindRequest], oauth_app: OAuthApp, signed_in: SignedIn, partition: Partition
) -> tuple[dict[str, Account | None], dict[str, MailboxResult]]:
    """Who holds each account now, and what can be refused for that without asking Graph."""
    found = await asyncio.gather(*(find_account(app, request.account) for request in requests))
    holders = {r.account: one.account.value if one else None for r, one in zip(requests, found, strict=True)}
    refused = {}
    for request in requests:
        try:
            check_principal(request, oauth_app, signed_in.principal, holders[request.account], partition)
        except AccessRefused as no:
            refused[request.account] = MailboxResult(MailboxState.REFUSED, no.code)
    return holders, refused


async def _try_to_prove(
    app: App, request: BindRequest, oauth_app: OAuthApp, signed_in: SignedIn, person: Person, holder: Account | None
) -> Proof | MailboxResult:
    try:
        return await prove_mailbox(app, request, oauth_app, signed_in, person, holder)
    except AccessRefused as no:
        return MailboxResult(MailboxState.REFUSED, no.code)
    except MailboxUnavailable:
        return OUTAGE


async def _bind_unless_same(app: App, proven: ProvenRequest, bound: dict[str | None, Account]) -> MailboxResult:
    """Bind it, unless the same link bound the mailbox under another address; `bound` is by inbox, and grows."""
    request, inbox_id = proven.request, proven.proof.inbox_id
    other = bound.get(inbox_id) if inbox_id is not None else None
    if other is not None and other.registration == request.by and not same_id(other.id, request.account):
        return MailboxResult(MailboxState.REFUSED, "same_mailbox")
    try:
        account = await bind_mailbox(app, proven)
    except AccessRefused as no:
        return MailboxResult(MailboxState.REFUSED, no.code)
    bound[inbox_id] = account.account
    return MailboxResult(account.state, email=account.account.email)


def _named(signed_in: SignedIn, person: Person) -> SignedIn:
    """With the sign-in name that Graph tells, where it was asked."""
    name = person.user_principal_name or signed_in.principal.sign_in_name
    return replace(signed_in, principal=replace(signed_in.principal, sign_in_name=name))


@dataclass(frozen=True, slots=True)
class Bound:
    """The bound account, and whether its id was there before: `new` or `existing`."""

    account: Account
    state: MailboxState


async def bind_mailbox(app: App, proven: ProvenRequest) -> Bound:
    """Bind, or raise AccessRefused with nothing changed.

    Every step is safe to repeat, and a claim whose transaction never came is taken over.
    """
    try:
        return await retry_on_conflict(partial(_try_to_bind, app, proven))
    except AccessRefused:
        await release_claim(app, proven)
        raise
    except Conflict:
        raise AccessRefused("account_busy") from None


async def _try_to_bind(app: App, proven: ProvenRequest) -> Bound:
    if proven.request.through is None:
        proven = replace(proven, request=await _authorized(app, proven.request))
    request, principal = proven.request, proven.signed_in.principal
    partition = await app.stores.principals.partition(principal.id)
    entry = await app.stores.directory.get(request.account)
    found = await account_behind(app, entry) if entry else None
    holder = found.account.value if found else None
    check_principal(request, proven.app, principal, holder, partition)
    check_mailbox(request, proven.proof, holder)
    claimed = await claim_account_id(app, proven, entry, holder)
    if request.through is None:
        await _check_not_ended(app, request)
    account = await write_transaction(app, proven, partition, holder)
    await confirm_claim(app, claimed, account, partition)
    if holder is not None and holder.principal_id != principal.id:
        await remove_leftover(app, holder)
    state = _state(request, holder)
    log.info("mailbox bound", extra={"by": request.by, "principal": principal.id, "state": state})
    return Bound(account, state)


async def _authorized(app: App, request: BindRequest) -> BindRequest:
    """The request with the authority that its caller has now. Raises AccessRefused when the link has ended.

    Where the link's end is near it is postponed: optimistic locking decides between expiry and binding.
    """
    link = await app.stores.registrations.for_account(request.by, request.account)
    now = app.clock()
    mailbox = link.value.mailbox_for(request.account) if link else None
    _refuse_ended(mailbox)
    if link is None or mailbox is None or mailbox.is_settled:
        raise AccessRefused("link_used")
    if link.value.stage is RegistrationStatus.EXPIRED:
        raise AccessRefused("link_expired")
    if link.value.expires_during_binding(now):
        await app.stores.registrations.replace(link, replace(link.value, being_bound=now))
    requester = await standing_caller(app, link.value.requested_by)
    if not can_register(requester, [request.account]):
        raise AccessRefused(LINK_WITHDRAWN)
    return request.with_permissions(may_change=can_change_accounts(requester))


async def _check_not_ended(app: App, request: BindRequest) -> None:
    """Raise AccessRefused when the link was ended while the account's id was claimed.

    What another tab of the same person bound meanwhile ends nothing: both tabs come to the same account.
    """
    link = await app.stores.registrations.for_account(request.by, request.account)
    _refuse_ended(link.value.mailbox_for(request.account) if link else None)


def _refuse_ended(mailbox: InvitedMailbox | None) -> None:
    if mailbox is not None and mailbox.state in {MailboxState.REPLACED, MailboxState.CANCELLED}:
        raise AccessRefused(mailbox.failure or LINK_CANCELLED)


def _state(request: BindRequest, before: Account | None) -> MailboxState:
    # After a crash before the link said so, the account of this very link is there; it is still a new one.
    known = before is not None and (before.registration != request.by or before.created != before.bound)
    return MailboxState.EXISTING if known else MailboxState.NEW
