"""Every use case with what it needs."""

from dataclasses import dataclass
from functools import cached_property

from shared.adapters.tables.agenda import DELIVERY_SHARD, OUTBOX_SHARD, REAP_SHARD
from shared.connections import Connections
from shared.domain.work import WorkKind
from shared.telemetry import write_audit
from shared.usecases.add_account import AddAccount
from shared.usecases.answer_challenge import AnswerChallenge
from shared.usecases.app_catalogue import AppCatalogue
from shared.usecases.begin_sign_in import BeginSignIn
from shared.usecases.bind_mailbox import BindMailbox
from shared.usecases.bind_proven import BindProven
from shared.usecases.bind_signed_in import BindSignedIn
from shared.usecases.browser_binding import BrowserBinding
from shared.usecases.carried_grant import CarriedGrant
from shared.usecases.change_account import ChangeAccount
from shared.usecases.change_settings import ChangeSettings
from shared.usecases.claim_account import ClaimAccount
from shared.usecases.complete_sign_in import CompleteSignIn
from shared.usecases.delete_app import DeleteApp
from shared.usecases.deliver_events import DeliverEvents
from shared.usecases.deliver_to_target import DeliverToTarget
from shared.usecases.drain_outbox import DrainOutbox
from shared.usecases.expire_registration import ExpireRegistration
from shared.usecases.find_account import FindAccount
from shared.usecases.hand_out import HandOut
from shared.usecases.identify_caller import IdentifyCaller
from shared.usecases.issue_token import IssueToken
from shared.usecases.keep_alive import KeepAlive
from shared.usecases.keep_checking import KeepChecking
from shared.usecases.known_tokens import KnownTokens
from shared.usecases.limit_requests import LimitRequests
from shared.usecases.open_link import OpenLink
from shared.usecases.ping_target import PingTarget
from shared.usecases.probe_mailboxes import ProbeMailboxes
from shared.usecases.prove_access import ProveAccess
from shared.usecases.read_account import ReadAccount
from shared.usecases.read_statistics import OpenBreakers, ReadStatistics
from shared.usecases.reap_registration import ReapRegistration
from shared.usecases.reauthorize_account import ReauthorizeAccount
from shared.usecases.reconnect_account import ReconnectAccount
from shared.usecases.record_results import RecordResults
from shared.usecases.refresh_grant import RefreshGrant
from shared.usecases.register_app import RegisterApp
from shared.usecases.remove_account import RemoveAccount
from shared.usecases.resume_pending import ResumePending
from shared.usecases.revoke_token import RevokeToken
from shared.usecases.run_tick import RunTick
from shared.usecases.settle_link import SettleLink
from shared.usecases.start_registration import StartRegistration
from shared.usecases.subscribe import Subscribe
from shared.usecases.sweep import SweepGrants
from shared.usecases.tally import Tally
from shared.usecases.tidy import Tidy
from shared.usecases.verify_app import VerifyApp
from shared.usecases.warn_ahead import WarnAhead
from shared.usecases.webhook_care import WebhookCare
from shared.usecases.work_agenda import Handler, WorkAgenda
from shared.usecases.write_binding import WriteBinding

WORK_AT_ONCE = 64
SHARDS_AT_ONCE = 2


@dataclass(frozen=True)
class Services(Connections):
    """Built bit by bit, as the connections are."""

    @cached_property
    def known_tokens(self) -> KnownTokens:
        return KnownTokens(self.api_tokens, self.clock)

    @cached_property
    def identify_caller(self) -> IdentifyCaller:
        settings = self.settings
        tokens = self.known_tokens if settings.token_callers else None
        admin = settings.admin_token_sha256 if settings.token_callers else None
        return IdentifyCaller(admin, tokens, self.entra_callers, self.clock)

    @cached_property
    def issue_token(self) -> IssueToken:
        return IssueToken(self.api_tokens, self.clock, self.entropy)

    @cached_property
    def revoke_token(self) -> RevokeToken:
        return RevokeToken(self.api_tokens, self.known_tokens)

    @cached_property
    def find(self) -> FindAccount:
        return FindAccount(self.directory, self.principals)

    @cached_property
    def binding(self) -> BrowserBinding:
        return BrowserBinding(self.sealer, self.entropy)

    @cached_property
    def start_registration(self) -> StartRegistration:
        settings = self.settings
        return StartRegistration(
            self.registrations,
            self.find,
            self.agenda,
            self.apps,
            settings.base_url,
            settings.redirect_origins,
            settings.link_lifetime,
            self.clock,
            self.entropy,
        )

    @cached_property
    def open_link(self) -> OpenLink:
        return OpenLink(self.registrations, self.apps, self.binding, self.clock)

    @cached_property
    def begin_sign_in(self) -> BeginSignIn:
        return BeginSignIn(
            self.registrations,
            self.principals,
            self.find,
            self.apps,
            self.entra,
            self.binding,
            self.clock,
            self.entropy,
        )

    @cached_property
    def remove_account(self) -> RemoveAccount:
        return RemoveAccount(self.principals, self.directory, self.find, self.outbox, self.tally, self.entropy)

    @cached_property
    def read_account(self) -> ReadAccount:
        return ReadAccount(self.principals, self.apps, self.find)

    @cached_property
    def change_account(self) -> ChangeAccount:
        return ChangeAccount(self.principals, self.find, self.tally, self.entropy)

    @cached_property
    def reauthorize_account(self) -> ReauthorizeAccount:
        return ReauthorizeAccount(self.find, self.apps, self.start_registration)

    @cached_property
    def bind(self) -> BindProven:
        return BindProven(self.principals, self.find, self.prove, self.bind_mailbox)

    @cached_property
    def prove(self) -> ProveAccess:
        return ProveAccess(self.probes)

    @cached_property
    def bind_mailbox(self) -> BindMailbox:
        write = WriteBinding(
            self.principals, self.agenda, self.outbox, self.tally, self.clock, self.entropy, self.jitter
        )
        return BindMailbox(
            self.principals,
            self.directory,
            self.registrations,
            self.find,
            self.claim_account,
            write,
            self.remove_account,
        )

    @cached_property
    def claim_account(self) -> ClaimAccount:
        return ClaimAccount(self.directory, self.find, self.remove_account, self.clock)

    @cached_property
    def add_account(self) -> AddAccount:
        return AddAccount(
            self.apps, self.hand_out, self.refresh_grant, self.bind, self.agenda, self.clock, self.entropy
        )

    @cached_property
    def record(self) -> RecordResults:
        return RecordResults(self.registrations, self.outbox, self.clock)

    @cached_property
    def keep_checking(self) -> KeepChecking:
        return KeepChecking(
            self.principals, self.registrations, self.agenda, self.record, self.carried_grant, self.clock
        )

    @cached_property
    def carried_grant(self) -> CarriedGrant:
        return CarriedGrant(self.binding, self.clock)

    @cached_property
    def bind_signed_in(self) -> BindSignedIn:
        return BindSignedIn(
            self.registrations,
            self.apps,
            self.entra,
            self.open_link,
            self.bind,
            self.keep_checking,
            self.record,
            self.carried_grant,
            self.outbox,
            self.clock,
        )

    @cached_property
    def complete_sign_in(self) -> CompleteSignIn:
        return CompleteSignIn(self.registrations, self.apps, self.entra, self.bind_signed_in, self.clock)

    @cached_property
    def app_catalogue(self) -> AppCatalogue:
        return AppCatalogue(self.oauth_apps, self.settings.seed, self.breakers, self.principals)

    @cached_property
    def register_app(self) -> RegisterApp:
        return RegisterApp(
            self.oauth_apps,
            self.settings.seed,
            self.clouds,
            self.redirect_uri,
            self.apps,
            self.entra,
            self.clock,
            self.entropy,
        )

    @cached_property
    def delete_app(self) -> DeleteApp:
        return DeleteApp(self.oauth_apps, self.settings.seed, self.clouds, self.app_catalogue, self.apps, self.entra)

    @cached_property
    def verify_app(self) -> VerifyApp:
        return VerifyApp(
            self.oauth_apps,
            self.settings.seed,
            self.clouds,
            self.redirect_uri,
            self.msal,
            self.entra,
            self.principals,
            self.find,
            self.refresh_grant,
            self.probe_mailboxes,
            self.clock,
        )

    @cached_property
    def refresh_grant(self) -> RefreshGrant:
        return RefreshGrant(
            self.principals, self.agenda, self.entra, self.apps, self.outbox, self.tally, self.clock, self.jitter
        )

    @cached_property
    def probe_mailboxes(self) -> ProbeMailboxes:
        return ProbeMailboxes(
            self.principals,
            self.agenda,
            self.apps,
            self.probes,
            self.outbox,
            self.tally,
            self.clock,
            self.jitter,
        )

    @cached_property
    def hand_out(self) -> HandOut:
        return HandOut(
            self.principals,
            self.agenda,
            self.apps,
            self.find,
            self.refresh_grant,
            self.tally,
            self.clock,
            self.jitter,
        )

    @cached_property
    def answer_challenge(self) -> AnswerChallenge:
        return AnswerChallenge(self.hand_out, self.refresh_grant, self.clock)

    @cached_property
    def reconnect_account(self) -> ReconnectAccount:
        return ReconnectAccount(self.principals, self.find, self.refresh_grant, self.probe_mailboxes)

    @cached_property
    def work_agenda(self) -> WorkAgenda:
        keep_alive = KeepAlive(self.principals, self.refresh_grant, self.probe_mailboxes, self.clock)
        resume = ResumePending(
            self.principals,
            self.registrations,
            self.agenda,
            self.apps,
            self.entra,
            self.bind,
            self.outbox,
            self.record,
            SettleLink(self.registrations, self.principals, self.find, self.clock),
            write_audit,
            self.clock,
        )
        handlers: dict[WorkKind, Handler] = {
            WorkKind.REFRESH: keep_alive,
            WorkKind.KEEPALIVE: keep_alive,
            WorkKind.PROBE: resume,
            WorkKind.REAP: ReapRegistration(self.registrations, self.principals, self.claim_account),
            WorkKind.EXPIRE: ExpireRegistration(self.registrations, self.outbox, self.clock),
        }
        return WorkAgenda(self.agenda, handlers, self.clock, WORK_AT_ONCE, SHARDS_AT_ONCE)

    @cached_property
    def tally(self) -> Tally:
        return Tally(self.counters)

    @cached_property
    def limit_requests(self) -> LimitRequests:
        return LimitRequests(self.settings.limits, self.buckets, self.limit_salts, self.clock, self.entropy)

    @cached_property
    def run_tick(self) -> RunTick:
        return RunTick(
            self.work_agenda,
            self.handovers,
            self.shard_queue,
            self.ticks,
            self.tally,
            self.clock,
            self.settings.tick_rows,
        )

    @cached_property
    def sweep(self) -> SweepGrants:
        return SweepGrants(
            self.principals,
            self.agenda,
            self.directory,
            self.remove_account,
            self.warn_ahead,
            self.webhook_care,
            self.sweeps,
            self.counters,
            self.clock,
        )

    @cached_property
    def open_breakers(self) -> OpenBreakers:
        return OpenBreakers(self.apps, self.breakers)

    @cached_property
    def tidy(self) -> Tidy:
        return Tidy(self.work_agenda, self.limit_requests, self.read_statistics, REAP_SHARD, self.clock)

    @cached_property
    def read_statistics(self) -> ReadStatistics:
        return ReadStatistics(
            self.agenda, self.counters, self.ticks, self.sweeps, self.open_breakers, self.webhook_care, self.clock
        )

    @cached_property
    def deliver_events(self) -> DeliverEvents:
        drain = DrainOutbox(
            self.agenda,
            self.outboxes,
            self.webhooks,
            self.deliveries,
            OUTBOX_SHARD,
            self.settings.base_url,
            self.clock,
        )
        visit = DeliverToTarget(self.webhooks, self.deliveries, self.targets, self.clock, self.jitter)
        return DeliverEvents(self.agenda, self.leases, drain, visit, DELIVERY_SHARD, self.clock, self.entropy)

    @cached_property
    def ping_target(self) -> PingTarget:
        return PingTarget(self.targets, self.settings.base_url, self.clock, self.entropy)

    @cached_property
    def subscribe(self) -> Subscribe:
        return Subscribe(self.webhooks, self.ping_target, self.clock, self.entropy)

    @cached_property
    def change_settings(self) -> ChangeSettings:
        return ChangeSettings(self.webhooks, self.ping_target, self.clock, self.entropy)

    @cached_property
    def webhook_care(self) -> WebhookCare:
        return WebhookCare(self.webhooks, self.deliveries, self.agenda, self.ping_target, OUTBOX_SHARD, self.clock)

    @cached_property
    def warn_ahead(self) -> WarnAhead:
        return WarnAhead(self.principals, self.apps, self.warned, self.outbox, self.clock, self.settings.warn_ahead)

    async def close(self) -> None:
        """Write what is still to be counted or noted, then end all connections."""
        await self.tally.settled()
        await self.limit_requests.settled()
        await self.known_tokens.settled()
        await super().close()
