"""Bind a proven mailbox to its principal: claim the id, write the truth, confirm the claim."""

import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from shared.domain.account import Account
from shared.domain.errors import StaleWrite
from shared.domain.event import EventName
from shared.domain.grant import DelegatedGrant
from shared.domain.keys import key
from shared.domain.oauth_app import OAuthApp
from shared.domain.registration import BindOutcome, PendingRegistration, RegistrationStatus
from shared.domain.work import Work
from shared.ports import (
    Agenda,
    Change,
    Claim,
    Clock,
    Directory,
    DirectoryEntry,
    Entropy,
    Insert,
    Jitter,
    Partition,
    Principals,
    Record,
    Registrations,
    Remove,
    Replace,
    SignedIn,
    Stored,
)
from shared.usecases import use_case
from shared.usecases.find_account import FindAccount, Found
from shared.usecases.outbox import Outbox
from shared.usecases.prove_access import AccessRefused, Proof, check_principal
from shared.usecases.remove_account import RemoveAccount
from shared.usecases.tally import Tally

log = logging.getLogger(__name__)

CLAIM_FOR = timedelta(minutes=2)
TRIES = 8


@dataclass(frozen=True, slots=True)
class Proven:
    """All that binding needs: the invitation, the app, who signed in, and which mailbox opened."""

    asked: PendingRegistration
    app: OAuthApp
    signed_in: SignedIn
    proof: Proof


@dataclass(frozen=True, slots=True)
class Bound:
    """The bound account, and whether its id was there before."""

    account: Account
    outcome: BindOutcome


@use_case
class BindMailbox:
    """Every step is safe to repeat, and a claim whose transaction never came is taken over."""

    principals: Principals
    directory: Directory
    registrations: Registrations
    agenda: Agenda
    outbox: Outbox
    find: FindAccount
    remove: RemoveAccount
    tally: Tally
    clock: Clock
    entropy: Entropy
    jitter: Jitter

    async def __call__(self, proven: Proven) -> Bound:
        """Bind, or raise AccessRefused with nothing changed."""
        for _ in range(TRIES):
            try:
                return await self._once(proven)
            except StaleWrite:
                continue
            except AccessRefused:
                await self._release(proven)
                raise
        raise AccessRefused("account_busy")

    async def _once(self, proven: Proven) -> Bound:
        asked, principal = proven.asked, proven.signed_in.principal
        await self._check_link(asked)
        partition = await self.principals.partition(principal.id)
        entry = await self.directory.get(asked.account)
        holder = await self.find.behind(entry) if entry else None
        check_principal(asked, proven.app, principal, holder.account.value if holder else None, partition)
        claimed = await self._claim(proven, entry, holder)
        account = self._account(proven, holder)
        await self._write_truth(proven, partition, account)
        await self._confirm(claimed, account, partition)
        if holder is not None and holder.account.value.principal_id != principal.id:
            await self.remove.leftover(holder.account.value)
        return await self._complete(asked, account, holder)

    async def _check_link(self, asked: PendingRegistration) -> None:
        link = await self.registrations.get(asked.id)
        if link is not None and link.value.stage is RegistrationStatus.REPLACED:
            raise AccessRefused("link_replaced")
        if link is None or link.value.stage is RegistrationStatus.COMPLETED:
            raise AccessRefused("link_used")

    async def _claim(
        self, proven: Proven, entry: Stored[DirectoryEntry] | None, holder: Found | None
    ) -> Stored[DirectoryEntry]:
        asked, principal, now = proven.asked, proven.signed_in.principal, self.clock()
        mine = Claim(principal.id, proven.app.id, asked.id, now + CLAIM_FOR)
        if entry is None:
            return await self.directory.insert(DirectoryEntry(asked.account, claim=mine))
        theirs = entry.value.claim
        held_up = theirs is not None and theirs.principal_id != principal.id and now < theirs.until
        if held_up and theirs is not None and not (holder and holder.account.value.principal_id == theirs.principal_id):
            raise AccessRefused("link_used" if theirs.registration == asked.id else "account_busy")
        return await self.directory.replace(entry, replace(entry.value, claim=mine))

    async def _release(self, proven: Proven) -> None:
        """Take back a claim that an earlier try of ours made for a binding that is refused."""
        entry = await self.directory.get(proven.asked.account)
        claim = entry and entry.value.claim
        if not entry or not claim or claim.registration != proven.asked.id:
            return
        if claim.principal_id != proven.signed_in.principal.id or await self.find.behind(entry):
            return
        with suppress(StaleWrite):  # somebody else claims the id by now
            await self.directory.remove(entry)

    def _account(self, proven: Proven, holder: Found | None) -> Account:
        asked, principal, proof, now = proven.asked, proven.signed_in.principal, proven.proof, self.clock()
        if holder is not None:
            again = holder.account.value.rebound(principal, asked.id, now)
            return replace(again, name=proof.name, email=proof.email, app=proven.app.id)
        return Account(
            id=asked.account,
            name=proof.name,
            email=proof.email,
            shared=proof.shared,
            principal_id=principal.id,
            sign_in_name=principal.sign_in_name,
            app=proven.app.id,
            registration=asked.id,
            created=now,
            bound=now,
        )

    async def _write_truth(self, proven: Proven, partition: Partition, account: Account) -> None:
        grant = self._grant(proven, partition.grants.get(proven.app.id))
        if grant.due is not None:
            await self.agenda.add(Work(grant.work, grant.due, account.principal_id, grant.app))
        before = partition.accounts.get(key(account.id))
        changes: list[Change] = [put(grant, partition.grants.get(grant.app)), put(account, before)]
        changes += await self.outbox.tell(account, _news(before.value if before else None))
        changes += [
            Remove(w.value, w.version) for w in partition.pending.values() if w.value.registration == proven.asked.id
        ]
        if before is not None and before.value.app != grant.app and len(partition.served_by(before.value.app)) == 1:
            left = partition.grants[before.value.app]
            changes.append(Remove(left.value, left.version))
        await self._recover_siblings(partition, account)
        await self.principals.commit(account.principal_id, changes)
        self.tally.moved(before.value if before else None, account)
        held = partition.grants.get(grant.app)
        self.tally.moved(held.value if held else None, grant)

    async def _recover_siblings(self, partition: Partition, account: Account) -> None:
        """The new tokens mend whatever else the grant serves.

        Ahead of the grant, because there may be more siblings than a transaction takes: should this process die in
        between, the person's link still works, and its next try ends the same way.
        """
        for stored in partition.served_by(account.app):
            known = stored.value
            if known.id != account.id and known.last_error is not None and not known.lost_mailbox:
                well = known.recovered()
                news = await self.outbox.tell(well, [EventName.AUTHENTICATION_SUCCESS])
                await self.principals.commit(account.principal_id, [Replace(well, stored.version), *news])
                self.tally.moved(known, well)

    def _grant(self, proven: Proven, before: Stored[DelegatedGrant] | None) -> DelegatedGrant:
        tokens, now, bindings = proven.signed_in.tokens, self.clock(), self.entropy(8).hex()
        if before is not None:
            again = before.value.reauthorized(tokens, now, self.jitter())
            return replace(again, bindings=bindings, principal=proven.signed_in.principal)
        grant = DelegatedGrant(
            principal=proven.signed_in.principal,
            app=proven.app.id,
            refresh_token=tokens.refresh_token,
            access_token=tokens.access_token,
            access_expires=tokens.expires,
            scopes=tokens.scopes,
            refreshed=now,
            bindings=bindings,
            resource=tokens.resource,
        )
        return grant.probed(lost=False, now=now, jitter=self.jitter())

    async def _confirm(self, claimed: Stored[DirectoryEntry], account: Account, before: Partition) -> None:
        try:
            bound = DirectoryEntry(account.id, account.principal_id, account.app)
            await self.directory.replace(claimed, bound)
        except StaleWrite:
            # The claim ran out and somebody else took it: the directory decides, so what was written here must go.
            entry = await self.directory.get(account.id)
            claim = entry.value.claim if entry else None
            ours = entry and account.principal_id in {entry.value.principal_id, claim.principal_id if claim else None}
            # Another tab of the same person leads here too; then the row is theirs and must stay.
            if not ours and key(account.id) not in before.accounts:
                await self.remove.leftover(account)
            raise

    async def _complete(self, asked: PendingRegistration, account: Account, holder: Found | None) -> Bound:
        before = holder.account.value if holder else None
        # A crash between truth and completion leaves the account of this very link behind; it is still a new one.
        known = before is not None and (before.registration != asked.id or before.created != before.bound)
        outcome = BindOutcome.EXISTING if known else BindOutcome.NEW
        for _ in range(TRIES):
            link = await self.registrations.get(asked.id)
            if link is None or link.value.stage is RegistrationStatus.COMPLETED:
                break
            try:
                done = link.value.completed_by(account.principal_id, outcome, self.clock())
                await self.registrations.replace(link, done)
                break
            except StaleWrite:
                continue
        log.info("mailbox bound", extra={"registration": asked.id, "principal": account.principal_id, "state": outcome})
        return Bound(account, outcome)


def put(record: Record, before: Stored[DelegatedGrant] | Stored[Account] | None) -> Change:
    """Insert what is new, replace what was read."""
    return Insert(record) if before is None else Replace(record, before.version)


def _news(before: Account | None) -> list[EventName]:
    if before is None:
        return [EventName.ACCOUNT_ADDED, EventName.ACCOUNT_INITIALIZED]
    return [EventName.AUTHENTICATION_SUCCESS] if before.last_error is not None else []
