"""What timers and queues start; the last layer, so this is every use case."""

from dataclasses import replace
from functools import cached_property

from shared.adapters.tables.agenda import REAP_SHARD
from shared.connections import TIMER_THREADS
from shared.domain.work import WorkKind
from shared.services.events import EventServices
from shared.telemetry import write_audit
from shared.usecases.timers.expire_registration import ExpireRegistration
from shared.usecases.timers.keep_alive import KeepAlive
from shared.usecases.timers.read_health import ReadHealth
from shared.usecases.timers.read_statistics import ReadStatistics
from shared.usecases.timers.reap_registration import ReapRegistration
from shared.usecases.timers.resume_pending import ResumePending
from shared.usecases.timers.run_tick import RunTick
from shared.usecases.timers.settle_link import SettleLink
from shared.usecases.timers.sweep import SweepGrants
from shared.usecases.timers.tidy import Tidy
from shared.usecases.timers.work_agenda import Handler, WorkAgenda

# Each row in work makes one call to Entra at a time, so that more rows than threads would only wait.
WORK_AT_ONCE = TIMER_THREADS
SHARDS_AT_ONCE = 2


class Services(EventServices):
    """Built bit by bit, as the connections are."""

    @cached_property
    def work_agenda(self) -> WorkAgenda:
        refresh = replace(self.refresh_grant, entra=self.entra_for_timer)
        probe = replace(self.probe_mailboxes, probes=self.probes_for_timer)
        keep_alive = KeepAlive(self.principals, refresh, probe, self.clock)
        resume = ResumePending(
            self.principals,
            self.registrations,
            self.agenda,
            self.apps,
            self.entra_for_timer,
            replace(self.bind, prove=replace(self.prove, probes=self.probes_for_timer)),
            self.outbox,
            self.record,
            SettleLink(self.registrations, self.principals, self.find, self.clock),
            self.standing_callers,
            write_audit,
            self.clock,
        )
        expire = ExpireRegistration(self.registrations, self.find, self.outbox, self.clock)
        handlers: dict[WorkKind, Handler] = {
            WorkKind.REFRESH: keep_alive,
            WorkKind.KEEPALIVE: keep_alive,
            WorkKind.PROBE: resume,
            WorkKind.REAP: ReapRegistration(
                self.registrations, self.principals, self.claim_account, expire, self.clock
            ),
            WorkKind.EXPIRE: expire,
        }
        return WorkAgenda(self.agenda, handlers, self.clock, WORK_AT_ONCE, SHARDS_AT_ONCE)

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
            self.apps,
            self.webhooks,
            self.warn_ahead,
            self.webhook_care,
            self.sweeps,
            self.counters,
            self.clock,
        )

    @cached_property
    def tidy(self) -> Tidy:
        return Tidy(
            self.work_agenda, self.limit_requests, self.read_statistics, self.shard_queue, REAP_SHARD, self.clock
        )

    @cached_property
    def read_health(self) -> ReadHealth:
        return ReadHealth(self.open_breakers, self.clock)

    @cached_property
    def read_statistics(self) -> ReadStatistics:
        return ReadStatistics(
            self.agenda, self.counters, self.ticks, self.sweeps, self.open_breakers, self.webhook_care, self.clock
        )

    async def close(self) -> None:
        """Write what is still to be counted or noted, then end all connections."""
        await self.tally.settled()
        await self.limit_requests.settled()
        await self.known_tokens.settled()
        await self.known_applications.settled()
        await super().close()
