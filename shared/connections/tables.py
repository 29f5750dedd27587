"""The tables."""

from functools import cached_property

from shared.adapters.tables.agenda import TableAgenda
from shared.adapters.tables.buckets import TableBuckets
from shared.adapters.tables.deliveries import TableDeliveries
from shared.adapters.tables.outboxes import TableOutboxes
from shared.adapters.tables.principals import TablePrincipals
from shared.adapters.tables.row_secrets import Opening
from shared.adapters.tables.rows import TableOAuthApps, TableRegistrations, TableRows
from shared.adapters.tables.table import Table
from shared.connections.storage import SealedStorage
from shared.domain.caller import ApiToken, CallingApplication
from shared.domain.event import ExpiryWarning, Origin
from shared.domain.limit import LimitSalt
from shared.domain.oauth_app import CircuitBreaker
from shared.domain.statistics import Counters, Sweep, Tick
from shared.domain.webhook import Lease, Webhook
from shared.domain.work import Handover
from shared.ports import DirectoryEntry
from shared.usecases.events.outbox import Outbox


class Tables(SealedStorage):
    """Each by what it holds."""

    @cached_property
    def principals(self) -> TablePrincipals:
        return TablePrincipals(self._table("Principals"))

    @cached_property
    def directory(self) -> TableRows[DirectoryEntry]:
        return self._rows("Accounts", DirectoryEntry, "account", disposable=False)

    @cached_property
    def registrations(self) -> TableRegistrations:
        return TableRegistrations(self._table("Registrations"))

    @cached_property
    def api_tokens(self) -> TableRows[ApiToken]:
        return TableRows(Table("ApiTokens", self._connect, None, self.entropy), ApiToken, "id")  # nothing to seal

    @cached_property
    def calling_applications(self) -> TableRows[CallingApplication]:
        table = Table("CallingApplications", self._connect, None, self.entropy)  # nothing to seal
        return TableRows(table, CallingApplication, "id")

    @cached_property
    def oauth_apps(self) -> TableOAuthApps:
        return TableOAuthApps(self._table("OAuthApps"))

    @cached_property
    def agenda(self) -> TableAgenda:
        return TableAgenda(self._table("Agenda"), self.settings.agenda_shards)

    @cached_property
    def handovers(self) -> TableRows[Handover]:
        return self._rows("Agenda", Handover, "shard")

    @cached_property
    def breakers(self) -> TableRows[CircuitBreaker]:
        return self._rows("Breakers", CircuitBreaker, "app")

    @cached_property
    def warned(self) -> TableRows[ExpiryWarning]:
        return self._rows("Breakers", ExpiryWarning, "id")

    @cached_property
    def outbox(self) -> Outbox:
        return Outbox(self.agenda, self.clock, self.entropy)

    @cached_property
    def outboxes(self) -> TableOutboxes:
        tables = {Origin.PRINCIPAL: "Principals", Origin.REGISTRATION: "Registrations", Origin.OAUTH_APP: "Breakers"}
        return TableOutboxes({origin: self._table(name) for origin, name in tables.items()})

    @cached_property
    def webhooks(self) -> TableRows[Webhook]:
        # One whose secrets do not open can be deleted or subscribed anew, and others hear on.
        return TableRows(self._table("Webhooks"), Webhook, "id", Opening.IF_POSSIBLE)

    @cached_property
    def deliveries(self) -> TableDeliveries:
        return TableDeliveries(self._table("Deliveries"))

    @cached_property
    def leases(self) -> TableRows[Lease]:
        return self._rows("Agenda", Lease, "name")

    @cached_property
    def buckets(self) -> TableBuckets:
        return TableBuckets(self._table("Limits"))

    @cached_property
    def limit_salts(self) -> TableRows[LimitSalt]:
        return self._rows("Limits", LimitSalt, "day")

    @cached_property
    def counters(self) -> TableRows[Counters]:
        return self._rows("Statistics", Counters, "name")

    @cached_property
    def ticks(self) -> TableRows[Tick]:
        return self._rows("Statistics", Tick, "name")

    @cached_property
    def sweeps(self) -> TableRows[Sweep]:
        return self._rows("Statistics", Sweep, "name")
