"""Prove, then bind: the one way from a sign-in to bound accounts, at the callback and on the agenda."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace

from shared.domain.account import Account
from shared.domain.identity import same_id
from shared.domain.invited_mailbox import BindRequest, InvitedMailbox, MailboxResult, MailboxState
from shared.domain.oauth_app import OAuthApp
from shared.domain.principal import ExpectedPerson
from shared.domain.registration import PendingRegistration
from shared.domain.webhook import can_change_accounts, can_register
from shared.ports import MailboxUnavailable, Partition, Person, Principals, SignedIn
from shared.usecases import use_case
from shared.usecases.callers.standing_callers import StandingCallers
from shared.usecases.grants.find_account import FindAccount
from shared.usecases.grants.prove_access import AccessRefused, Proof, ProveAccess, check_principal
from shared.usecases.sign_in.bind_mailbox import BindMailbox
from shared.usecases.sign_in.live_links import WITHDRAWN
from shared.usecases.sign_in.write_binding import Proven

AT_ONCE = 8
OUTAGE = MailboxResult(MailboxState.WAITING_FOR_ACCESS, "graph_unavailable")


@use_case
class BindProven:
    """Nothing is bound before its mailbox opened. Mailboxes are proven side by side, and bound one after the other."""

    principals: Principals
    callers: StandingCallers
    find: FindAccount
    prove: ProveAccess
    bind: BindMailbox

    async def __call__(
        self,
        asked: PendingRegistration,
        app: OAuthApp,
        signed_in: SignedIn,
        mailboxes: Collection[InvitedMailbox] | None = None,
    ) -> Mapping[str, MailboxResult]:
        """What became of these mailboxes, or of all that are still open, by account; with Graph away they wait.

        Raises AccessRefused when it is not about a mailbox but about who signed in, or who asked for the link.
        """
        wanted = asked.unsettled_mailboxes if mailboxes is None else mailboxes
        requester = await self.callers(asked.requested_by)
        if not can_register(requester, (mailbox.account for mailbox in wanted)):
            raise AccessRefused(WITHDRAWN)
        may_change = can_change_accounts(requester)
        requests = [asked.bind_request(mailbox).with_permissions(may_change=may_change) for mailbox in wanted]
        return await self.each(requests, app, signed_in, asked.expected_person)

    async def each(
        self, requests: Collection[BindRequest], app: OAuthApp, signed_in: SignedIn, expected: ExpectedPerson
    ) -> Mapping[str, MailboxResult]:
        """The same for what was asked for without a link too."""
        partition = await self.principals.partition(signed_in.principal.id)
        holders, refused = await self._check(requests, app, signed_in, partition)
        left = [request for request in requests if request.account not in refused]
        if not left:
            return refused
        try:
            person = await self.prove.person(app, signed_in, expected)
        except MailboxUnavailable:
            return refused | {request.account: OUTAGE for request in left}
        signed_in = _named(signed_in, person)
        slots = asyncio.Semaphore(AT_ONCE)

        async def proof(request: BindRequest) -> Proof | MailboxResult:
            async with slots:
                return await self._proof(request, app, signed_in, person, holders[request.account])

        proofs = await asyncio.gather(*map(proof, left))
        results = dict(refused)
        bound = {account.value.inbox_id: account.value for account in partition.accounts.values()}
        for request, proven in zip(left, proofs, strict=True):
            if isinstance(proven, Proof):
                results[request.account] = await self._bind(Proven(request, app, signed_in, proven), bound)
            else:
                results[request.account] = proven
        return results

    async def _check(
        self, requests: Collection[BindRequest], app: OAuthApp, signed_in: SignedIn, partition: Partition
    ) -> tuple[dict[str, Account | None], dict[str, MailboxResult]]:
        """Who holds each account now, and what can be refused for that without asking Graph."""
        found = await asyncio.gather(*(self.find(request.account) for request in requests))
        holders = {r.account: one.account.value if one else None for r, one in zip(requests, found, strict=True)}
        refused = {}
        for request in requests:
            try:
                check_principal(request, app, signed_in.principal, holders[request.account], partition)
            except AccessRefused as no:
                refused[request.account] = MailboxResult(MailboxState.REFUSED, no.code)
        return holders, refused

    async def _proof(
        self, request: BindRequest, app: OAuthApp, signed_in: SignedIn, person: Person, holder: Account | None
    ) -> Proof | MailboxResult:
        try:
            return await self.prove(request, app, signed_in, person, holder)
        except AccessRefused as no:
            return MailboxResult(MailboxState.REFUSED, no.code)
        except MailboxUnavailable:
            return OUTAGE

    async def _bind(self, proven: Proven, bound: dict[str | None, Account]) -> MailboxResult:
        """Bind it, unless the same link bound the mailbox under another address; `bound` is by inbox, and grows."""
        request, inbox_id = proven.request, proven.proof.inbox_id
        other = bound.get(inbox_id) if inbox_id is not None else None
        if other is not None and other.registration == request.by and not same_id(other.id, request.account):
            return MailboxResult(MailboxState.REFUSED, "same_mailbox")
        try:
            account = await self.bind(proven)
        except AccessRefused as no:
            return MailboxResult(MailboxState.REFUSED, no.code)
        bound[inbox_id] = account.account
        return MailboxResult(account.state, email=account.account.email)


def _named(signed_in: SignedIn, person: Person) -> SignedIn:
    """With the sign-in name that Graph tells, where it was asked."""
    name = person.user_principal_name or signed_in.principal.sign_in_name
    return replace(signed_in, principal=replace(signed_in.principal, sign_in_name=name))
