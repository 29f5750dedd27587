"""Hours of many hot accounts, minute by minute: callers want tokens, timers run, and everything is looked at."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.local.environment import APP_ID
from shared.domain.account import MAILBOX_ERROR_CODES, Account, AccountState, Principal
from shared.domain.errors import NotAuthorized, Unavailable
from shared.domain.mailbox import BoundMailbox
from shared.domain.secret import Secret
from shared.domain.tokens import MIN_HAND_OUT_LIFETIME
from shared.domain.work import Work
from shared.ports import App, DirectoryEntry, Insert, SignedIn
from shared.usecases.apps.circuit_breaker import refused_apps
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.sign_in.binding import bind_invited_mailboxes
from shared.usecases.sign_in.start import reauthorize_account
from shared.usecases.tokens.hand_out import HandedOut, hand_out
from shared.usecases.upkeep.tick import run_tick
from tests.conftest import MovedClock, storage_of, unguarded
from tests.contract import records
from tests.faults.watched import LONGEST_BACKOFF, RENEWED_FROM, TOKEN_LIFETIME, Outage, Seen, Watched
from tests.journey.conftest import Tenant

# How often a caller wants a token, in minutes: of an account that is well, and of one that is not.
ASKED_EVERY, TROUBLED_ASKED_EVERY = 120, 20
# While an account has one of these errors nobody asks, so that the timer is the one to find out.
NOT_ASKED_FOR = {"person_locked", "no_mailbox_access"}
SECRET_REFUSALS = {"7000222", "7000215"}
OTHER_OUTAGES = {"90055", "outage-503", "outage-reset"}
WELL = AccountState.CONNECTED, None
FIRST_LOOK = datetime.min.replace(tzinfo=UTC)


@dataclass
class Hours:
    """Two instances of the app on one storage, one for the timers and one for callers, and the tenant.

    `app_refused` is whether Entra's last answer refused the app's secret, and `secret_refusals` counts such answers.
    It `is_order_known` unless calls that were made together were answered differently.
    `early` are the accounts whose tokens were renewed before it was time.
    """

    timers: App
    callers: App
    tenant: Tenant
    clock: MovedClock
    begin: datetime
    outages: Sequence[Outage] = ()
    accounts: Sequence[Watched] = ()
    people: dict[str, Watched] = field(default_factory=dict)
    object_ids: Mapping[str, str] = field(default_factory=dict)
    app_refused: bool = False
    is_order_known: bool = True
    secret_refusals: int = 0
    early: set[str] = field(default_factory=set)
    last_event: int = 0
    looked: datetime = FIRST_LOOK

    @property
    def now(self) -> datetime:
        return self.clock()

    def time_of(self, minute: int) -> datetime:
        return self.begin + timedelta(minutes=minute)

    def principal(self, name: str) -> Principal:
        return Principal(self.callers.config.seed.authority, self.object_ids[name], name)

    async def store(self, name: str, refreshed: datetime, probe_due: datetime) -> Watched:
        """Store an account whose person's tokens were refreshed and handed out at that time."""
        token = await asyncio.to_thread(lambda: self.tenant.do("sign-in", person=name)["refreshToken"])
        who = self.principal(name)
        account = records.account(who, refreshed)
        grant = replace(
            records.grant(who, refreshed),
            refresh_token=Secret(token),
            access_expires=refreshed + TOKEN_LIFETIME,
            handed_out=refreshed,
            probe_due=probe_due,
        ).scheduled(refreshed, self.callers.jitter())
        assert grant.due is not None
        await self.callers.stores.agenda.add(Work(grant.work, grant.due, who.id, grant.app))
        await self.callers.stores.mailboxes.put(BoundMailbox.of(account))
        await self.callers.stores.principals.commit(who.id, [Insert(account), Insert(grant)])
        await self.callers.stores.directory.insert(DirectoryEntry(account.id, who.id, account.app))
        seen = Seen(*WELL, name)
        return Watched(account.id, name, seen, seen, refreshed)

    def move_to(self, minute: int) -> None:
        """Move both clocks to the beginning of a minute."""
        seconds = (self.time_of(minute) - self.now).total_seconds()
        assert seconds > 0, "the work of a minute took longer than that"
        self.clock.forward(seconds=seconds)
        self.tenant.do("clock", advanceSeconds=seconds)

    async def work(self, minute: int) -> None:
        """Callers ask, the timer runs, and everything is looked at."""
        await asyncio.gather(
            *(self._ask(one) for number, one in enumerate(self.accounts) if _wants_token(one, minute + number))
        )
        await run_tick(self.timers)
        self._read_journal()
        await self._look()

    # Callers

    async def _ask(self, one: Watched) -> None:
        """A caller wants a token: it is told what is true, and waits for Microsoft only with a reason."""
        now = self.now
        outage = next((outage for outage in self.outages if outage.begin <= now <= outage.end), None)
        if outage is None:
            one.is_asked_for(now)
        match await self._answer(one):
            case NotAuthorized() as refused:
                assert one.may_be_refused(refused.code, now), (refused.code, one)
            case Unavailable() as unavailable:
                assert outage is not None, (unavailable.code, one)
                assert outage.code == unavailable.code, one
            case HandedOut() as token:
                self._check_token(one, token, now)

    async def _answer(self, one: Watched) -> HandedOut | NotAuthorized | Unavailable:
        try:
            return await hand_out(self.callers, one.id)
        except (NotAuthorized, Unavailable) as refusal:
            return refusal

    def _check_token(self, one: Watched, token: HandedOut, now: datetime) -> None:
        assert token.expires - now >= MIN_HAND_OUT_LIFETIME
        assert token.sign_in_name in {one.truth.name, one.seen.name}
        if not token.cached:
            was_outage = any(each.begin <= now <= each.end + LONGEST_BACKOFF for each in self.outages)
            assert was_outage or one.seen.code is not None, one
            assert one.truth.code is None or one.truth.code in MAILBOX_ERROR_CODES, one

    # Looking

    def _read_journal(self) -> None:
        """What Entra was asked since the last look."""
        answer = self.tenant.client.get("events", params={"after": str(self.last_event)})
        events = answer.json()["events"]
        accepted = {event.get("failure") not in SECRET_REFUSALS for event in events if _is_about_app(event)}
        if accepted:
            self.is_order_known = len(accepted) == 1
        for event in events:
            self.last_event = event["n"]
            one, at = self.people.get(event.get("person", "")), datetime.fromisoformat(event["at"])
            if event["what"] == "refreshed":
                self._note_refreshed(one, at)
            elif event["what"] == "failed" and event["failure"] in SECRET_REFUSALS:
                self.app_refused, self.secret_refusals = True, self.secret_refusals + 1
            elif event["what"] == "failed" and event["failure"] not in OTHER_OUTAGES:
                self.app_refused = False  # Entra looked at the person, so it took the secret
                if one is not None:
                    one.refused = at

    def _note_refreshed(self, one: Watched | None, at: datetime) -> None:
        self.app_refused = False
        if one is None:
            return
        if at - one.refreshed < RENEWED_FROM:
            self.early.add(one.id)
        one.refreshed = at

    async def _look(self) -> None:
        """Every account is in a state that it may be in, and the circuit breaker is open while the app is refused."""
        now, written = self.now, await self._written_accounts()
        wrong = [fault for one in self.accounts if (fault := one.look(written.get(one.id, one.seen), now))]
        assert not wrong, "\n".join([f"{now - self.begin}", *wrong])
        is_refused = any(o.begin <= now < o.end for o in self.outages if o.code == "app_credential")
        assert is_refused or not self.app_refused
        refused = [refused.fault for refused in await refused_apps(self.timers)]
        # Answers to calls that were made together may be learned in another order than Entra gave them.
        if self.is_order_known:
            assert self.app_refused == any(fault.is_open for fault in refused), f"{now - self.begin} {refused}"

    async def _written_accounts(self) -> dict[str, Seen]:
        """The accounts whose rows were written since the last look, which are few."""
        since, self.looked = self.looked, datetime.now(UTC) - timedelta(seconds=1)
        where = "RowKey ge 'account~' and RowKey lt 'account~~' and Timestamp ge @since"
        rows = storage_of(self.callers).get_table_client("Principals")
        keys = [
            (row["principal_id"], row["id"]) async for row in rows.query_entities(where, parameters={"since": since})
        ]
        read = self.callers.stores.principals.account
        return {stored.value.id: seen_of(stored.value) for key in keys if (stored := await read(*key))}

    # Repairing

    async def sign_in(self, one: Watched, name: str) -> None:
        """The person, or another one, follows a link that repairs the account, and its caller goes on."""
        app, is_other = self.callers, name != one.person
        started = await reauthorize_account(
            app, one.id, "https://myapp.example/", {}, ADMINISTRATOR, allow_principal_change=is_other
        )
        asked, oauth_app = await app.stores.registrations.get(started.registration), await app.oauth_apps.get(APP_ID)
        assert asked is not None
        assert oauth_app is not None
        token = Secret(self.tenant.do("sign-in", person=name)["refreshToken"])
        signed_in = SignedIn(self.principal(name), await unguarded(app).refresh(oauth_app, token))
        results = await bind_invited_mailboxes(app, asked.value, oauth_app, signed_in)
        assert ["existing"] == [result.state for result in results.values()], results
        del self.people[one.person]
        self.people[name], one.person = one, name
        one.should_be(self.now, state=AccountState.CONNECTED, code=None, name=name)
        if is_other:
            one.events += [("accountChanged", None), ("authenticationSuccess", None)]
            one.seen = one.truth
        await self._ask(one)


def _is_about_app(event: Mapping[str, Any]) -> bool:
    """Whether Entra accepted or refused the app's secret; it refuses persons only when it accepted that."""
    return event["what"] == "refreshed" or (event["what"] == "failed" and event["failure"] not in OTHER_OUTAGES)


def seen_of(account: Account) -> Seen:
    return Seen(account.state, account.last_error.code if account.last_error else None, account.sign_in_name)


def _wants_token(one: Watched, minute: int) -> bool:
    """Whether a caller wants a token of the account in this minute."""
    if NOT_ASKED_FOR & {one.seen.code, one.truth.code}:
        return False
    return minute % (ASKED_EVERY if one.is_well else TROUBLED_ASKED_EVERY) == 0
