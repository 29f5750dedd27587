"""From a person who signed in to an outcome: bound, waiting, or refused without a second sign-in where that helps."""

import logging
from contextlib import suppress
from dataclasses import replace

from shared.domain.errors import EntraBusy, StaleWrite, StorageUnavailable
from shared.domain.failure import FailureKind
from shared.domain.formats import set_correlation_id
from shared.domain.invited_mailbox import MailboxResult, MailboxState, new_pending_account
from shared.domain.oauth_app import OAuthApp
from shared.domain.registration import PendingRegistration
from shared.domain.secret import Secret
from shared.ports import Clock, EntraFailed, OAuthApps, Registrations, SignedIn, SignInEntra
from shared.usecases import use_case
from shared.usecases.events.outbox import Outbox
from shared.usecases.grants.prove_access import AccessRefused
from shared.usecases.sign_in.bind_proven import BindProven
from shared.usecases.sign_in.carried_grant import Carried, CarriedGrant
from shared.usecases.sign_in.keep_checking import NO_ACCESS, KeepChecking
from shared.usecases.sign_in.live_links import DeadLink, LiveLinks
from shared.usecases.sign_in.open_link import APP_UNAVAILABLE, OpenLink
from shared.usecases.sign_in.record_results import RecordResults
from shared.usecases.sign_in.sign_in_outcome import Outcome, Refused, Tried

log = logging.getLogger(__name__)

FINISH = "finish"
# Signing in again through the same link would end the same way.
FINAL = {
    "link_used",
    "link_replaced",
    "link_expired",
    "link_withdrawn",
    "link_cancelled",
    "account_removed",
    "other_kind",
    "other_mailbox",
    "other_app",
    "same_mailbox",
}


@use_case
class BindSignedIn:
    """The code cannot be redeemed again, so where storage fails from here on, the page carries the grant."""

    registrations: Registrations
    links: LiveLinks
    apps: OAuthApps
    entra: SignInEntra
    link: OpenLink
    bind: BindProven
    keep: KeepChecking
    record: RecordResults
    carried: CarriedGrant
    outbox: Outbox
    clock: Clock

    async def __call__(self, app: OAuthApp, asked: PendingRegistration, signed_in: SignedIn, cookie: Secret) -> Outcome:
        """Prove and bind."""
        try:
            outcome = await self._bind(app, asked, signed_in, cookie)
        except StorageUnavailable:
            log.warning("storage failed after a sign-in", extra={"registration": asked.id})
            carried = await self.carried.seal(FINISH, asked, signed_in, cookie)
            outcome = Refused("storage_unavailable", asked, finish=carried)
        return replace(outcome, principal=signed_in.principal.id)

    async def finish(self, offered: Carried, cookie: Secret | None) -> Outcome:
        """Go on where storage failed; while it does not answer, the page goes on carrying the grant."""
        try:
            return await self._finish(offered, cookie)
        except (StorageUnavailable, EntraBusy) as unavailable:
            return Refused(str(unavailable.code), finish=offered)

    async def refuse(
        self, code: str, asked: PendingRegistration, cookie: Secret, *, keep: Carried | None = None, note: bool = True
    ) -> Refused:
        """Note what came of the sign-in, and offer to start over where that may help."""
        if note:
            await self._note(asked, code)
        again = None if code in FINAL else await self.link.page(asked, cookie)
        return Refused(code, asked, again=again, keep=keep)

    async def _bind(self, app: OAuthApp, asked: PendingRegistration, signed_in: SignedIn, cookie: Secret) -> Outcome:
        try:
            results = await self.bind(asked, app, signed_in)
        except AccessRefused as refused:
            keep = await self.keep.offer(asked, signed_in, cookie) if refused.code == NO_ACCESS else None
            return await self.refuse(refused.code, asked, cookie, keep=keep)
        away = [account for account, result in results.items() if result.state is MailboxState.WAITING_FOR_ACCESS]
        tried = {account: result for account, result in results.items() if account not in away}
        link = await self.record(asked.id, signed_in.principal.id, tried) if tried else None
        outcome = Tried(link.via_app(app.id) if link else asked, results)
        if away:
            waits = await self._wait_out(app, asked, signed_in, tuple(away))
            if isinstance(waits, Refused):
                return waits
            outcome = waits
        codes = {result.code for result in tried.values() if result.code}
        return replace(
            outcome,
            results=results,
            again=await self.link.page(asked, cookie) if codes - FINAL else None,
            keep=await self.keep.offer(asked, signed_in, cookie) if NO_ACCESS in codes else None,
        )

    async def _wait_out(
        self, app: OAuthApp, asked: PendingRegistration, signed_in: SignedIn, accounts: tuple[str, ...]
    ) -> Outcome:
        return await self.keep.wait(
            asked,
            new_pending_account(
                registration=asked.id,
                accounts=accounts,
                principal=signed_in.principal,
                app=app.id,
                tokens=signed_in.tokens,
                kept=False,
                reason="graph_unavailable",
                now=self.clock(),
            ),
        )

    async def _finish(self, offered: Carried, cookie: Secret | None) -> Outcome:
        opened = await self.carried.open(FINISH, offered, cookie)
        if opened is None or cookie is None:
            return Refused("sign_in_unknown")
        signed_in = opened.signed_in
        stored = await self.links(offered.registration)
        if isinstance(stored, DeadLink):
            return _ended(stored.registration, stored.code, signed_in)
        asked = stored.value.via_app(opened.app)
        set_correlation_id(asked.correlation)
        app = await self.apps.get(asked.app)
        if app is None:
            return await self.refuse(APP_UNAVAILABLE, asked, cookie)
        try:
            tokens = await self.entra.finish(app, signed_in.tokens.refresh_token)
        except EntraFailed as failed:
            if failed.failure.kind in {FailureKind.TRANSIENT, FailureKind.APP_FAULT}:
                return Refused(failed.failure.code, asked, finish=offered)
            return await self.refuse(failed.failure.code, asked, cookie)
        return await self(app, asked, SignedIn(signed_in.principal, tokens), cookie)

    async def _note(self, asked: PendingRegistration, code: str) -> None:
        log.info("mailbox refused", extra={"registration": asked.id, "code": code})
        # Another browser's outcome for the same link is newer than ours; and without storage the person hears it alone.
        with suppress(StaleWrite, StorageUnavailable):
            stored = await self.registrations.get(asked.id)
            if stored is not None:
                refused = stored.value.with_refusal(code)
                await self.registrations.replace(stored, refused, await self.outbox.refusals(stored.value, refused))


def _ended(asked: PendingRegistration | None, code: str, signed_in: SignedIn) -> Outcome:
    """The binding was written before its answer was lost: then this is the person who bound, and no stranger."""
    ours = {
        mailbox.account: MailboxResult(mailbox.state, email=mailbox.email)
        for mailbox in (asked.mailboxes if asked else ())
        if mailbox.state.is_bound and mailbox.principal_id == signed_in.principal.id
    }
    return Tried(asked, ours) if asked and ours else Refused(code, asked)
