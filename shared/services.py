"""Every use case with what it needs."""

from dataclasses import dataclass
from functools import cached_property

from azure.data.tables.aio import TableClient, TableServiceClient

from shared.adapters.entra import MsalEntra
from shared.adapters.graph import HttpGraph
from shared.adapters.tables.agenda import TableAgenda
from shared.adapters.tables.connection import connect
from shared.adapters.tables.data_keys import TableDataKeys
from shared.adapters.tables.principals import TablePrincipals
from shared.adapters.tables.rows import TableRegistrations, TableRows
from shared.adapters.tables.table import Table
from shared.domain.oauth_app import OAuthApp
from shared.domain.work import Work, WorkKind
from shared.ports import Clock, DirectoryEntry, Entropy, Jitter, Sealer
from shared.settings import Settings
from shared.usecases.begin_sign_in import BeginSignIn
from shared.usecases.bind_mailbox import BindMailbox
from shared.usecases.bind_proven import BindProven
from shared.usecases.browser_binding import BrowserBinding
from shared.usecases.complete_sign_in import CompleteSignIn
from shared.usecases.find_account import FindAccount
from shared.usecases.hand_out import HandOut
from shared.usecases.keep_alive import KeepAlive
from shared.usecases.keep_checking import KeepChecking
from shared.usecases.open_link import OpenLink
from shared.usecases.outbox import Outbox
from shared.usecases.probe_mailboxes import ProbeMailboxes
from shared.usecases.prove_access import ProveAccess
from shared.usecases.reap_registration import ReapRegistration
from shared.usecases.reconnect_account import ReconnectAccount
from shared.usecases.refresh_grant import RefreshGrant
from shared.usecases.remove_account import RemoveAccount
from shared.usecases.resume_pending import ResumePending
from shared.usecases.start_registration import StartRegistration
from shared.usecases.work_agenda import Handler, WorkAgenda

MSAL_THREADS = 32
WORK_AT_ONCE = 32


@dataclass(frozen=True)
class OneApp:
    """The OAuth app of the settings."""

    app: OAuthApp

    def get(self, app: str | None) -> OAuthApp | None:
        """It, by its id or by none."""
        return self.app if app in {None, self.app.id} else None


@dataclass(frozen=True)
class Services:
    """Built bit by bit: a client connects when somebody first needs it."""

    settings: Settings
    clock: Clock
    entropy: Entropy
    jitter: Jitter

    @cached_property
    def storage(self) -> TableServiceClient:
        return connect(self.settings.tables, self.settings.managed_identity)

    def _connect(self, name: str) -> TableClient:
        return self.storage.get_table_client(name)

    def _table(self, name: str) -> Table:
        return Table(name, self._connect, self.sealer, self.entropy)

    @cached_property
    def sealer(self) -> Sealer:
        # Imported here because indexing does without cryptography.
        from shared.adapters.sealing import AesSealer, LocalKey  # noqa: PLC0415 - see above

        # The table of wrapped keys holds nothing to seal, so its sealer is never asked.
        keys = TableDataKeys(Table("DataKeys", self._connect, None, self.entropy))
        return AesSealer(keys, LocalKey(self.settings.sealing_key), self.clock, self.entropy)

    @cached_property
    def principals(self) -> TablePrincipals:
        return TablePrincipals(self._table("Principals"))

    @cached_property
    def directory(self) -> TableRows[DirectoryEntry]:
        return TableRows(self._table("Accounts"), DirectoryEntry, "account")

    @cached_property
    def registrations(self) -> TableRegistrations:
        return TableRegistrations(self._table("Registrations"))

    @cached_property
    def agenda(self) -> TableAgenda:
        return TableAgenda(self._table("Agenda"), self.settings.agenda_shards)

    @cached_property
    def apps(self) -> OneApp:
        return OneApp(self.settings.oauth_app)

    @cached_property
    def entra(self) -> MsalEntra:
        settings = self.settings
        return MsalEntra(settings.authority_host, self.redirect_uri, settings.ca_file, MSAL_THREADS, self.clock)

    @cached_property
    def graph(self) -> HttpGraph:
        return HttpGraph(self.settings.graph_root, self.settings.ca_file)

    @property
    def redirect_uri(self) -> str:
        """Where Entra sends people back to; it must be registered exactly so."""
        return f"{self.settings.base_url}/oauth"

    @cached_property
    def outbox(self) -> Outbox:
        return Outbox(self.agenda, self.clock, self.entropy)

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
        return RemoveAccount(self.principals, self.directory, self.find, self.outbox, self.entropy)

    @cached_property
    def bind(self) -> BindProven:
        bind = BindMailbox(
            self.principals,
            self.directory,
            self.registrations,
            self.agenda,
            self.outbox,
            self.find,
            self.remove_account,
            self.clock,
            self.entropy,
            self.jitter,
        )
        return BindProven(self.principals, self.find, ProveAccess(self.graph), bind)

    @cached_property
    def keep_checking(self) -> KeepChecking:
        return KeepChecking(self.principals, self.registrations, self.agenda, self.binding, self.clock)

    @cached_property
    def complete_sign_in(self) -> CompleteSignIn:
        return CompleteSignIn(
            self.registrations, self.apps, self.entra, self.open_link, self.bind, self.keep_checking, self.clock
        )

    @cached_property
    def refresh_grant(self) -> RefreshGrant:
        return RefreshGrant(self.principals, self.agenda, self.entra, self.apps, self.outbox, self.clock, self.jitter)

    @cached_property
    def probe_mailboxes(self) -> ProbeMailboxes:
        return ProbeMailboxes(self.principals, self.agenda, self.graph, self.outbox, self.clock, self.jitter)

    @cached_property
    def hand_out(self) -> HandOut:
        return HandOut(self.principals, self.agenda, self.find, self.refresh_grant, self.clock, self.jitter)

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
            self.clock,
        )
        handlers: dict[WorkKind, Handler] = {
            WorkKind.REFRESH: keep_alive,
            WorkKind.KEEPALIVE: keep_alive,
            WorkKind.PROBE: resume,
            WorkKind.EVENT: self._forget_event,
            WorkKind.REAP: ReapRegistration(self.registrations, self.agenda, self.clock),
        }
        return WorkAgenda(self.agenda, handlers, self.clock, WORK_AT_ONCE)

    async def _forget_event(self, work: Work) -> None:
        await self.principals.forget_event(work.owner, work.item)

    async def close(self) -> None:
        """End all connections."""
        self.entra.close()
        await self.graph.close()
        await self.storage.close()
