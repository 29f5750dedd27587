"""Events on their way to webhooks."""

from functools import cached_property

from shared.adapters.tables.agenda import DELIVERY_SHARD, OUTBOX_SHARDS
from shared.services.oauth_apps import OAuthAppServices
from shared.usecases.events.change_settings import ChangeSettings
from shared.usecases.events.deliver_events import DeliverEvents
from shared.usecases.events.deliver_to_target import DeliverToTarget
from shared.usecases.events.drain_outbox import DrainOutbox
from shared.usecases.events.ping_target import PingTarget
from shared.usecases.events.subscribe import Subscribe
from shared.usecases.events.warn_ahead import WarnAhead
from shared.usecases.events.webhook_care import WebhookCare


class EventServices(OAuthAppServices):
    """Built bit by bit, as the connections are."""

    @cached_property
    def deliver_events(self) -> DeliverEvents:
        drain = DrainOutbox(
            self.agenda,
            self.outboxes,
            self.webhooks,
            self.deliveries,
            self.standing_callers,
            OUTBOX_SHARDS,
            self.settings.base_url,
            self.clock,
        )
        visit = DeliverToTarget(
            self.webhooks, self.deliveries, self.targets, self.standing_callers, self.clock, self.jitter
        )
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
        return WebhookCare(
            self.webhooks,
            self.deliveries,
            self.agenda,
            self.ping_target,
            self.standing_callers,
            OUTBOX_SHARDS,
            self.clock,
        )

    @cached_property
    def warn_ahead(self) -> WarnAhead:
        return WarnAhead(self.principals, self.warned, self.outbox, self.clock, self.settings.warn_ahead)
