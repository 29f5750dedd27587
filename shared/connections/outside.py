"""What lies beyond storage: Microsoft, the queue, and where events go."""

from collections.abc import Mapping
from functools import cached_property

from shared.adapters.entra import MsalEntra
from shared.adapters.graph import HttpGraph
from shared.adapters.imap import ImapProbe
from shared.adapters.msal_applications import MsalApplications
from shared.adapters.shard_queue import StorageShardQueue
from shared.adapters.token_calls import TokenCalls
from shared.adapters.webhook_targets import WebhookTargets
from shared.connections.tables import Tables
from shared.domain.clouds import Cloud, Resource, clouds_with
from shared.ports import EntraCallers, MailboxProbes
from shared.usecases.callers.known_applications import KnownApplications
from shared.usecases.oauth_apps.guarded_entra import GuardedEntra
from shared.usecases.oauth_apps.known_apps import KnownApps

# Calls to the token endpoint at once. The timer's calls have threads of their own, at most half of all.
PEOPLE_THREADS = 32
TIMER_THREADS = 32
METADATA_THREADS = 4
# A person or caller gives up after about half a minute, of which one call can take twenty seconds.
QUEUE_TIMEOUT_SECONDS = 10.0
# The timer and two queue messages work at a time (host.json), so that a call waits for two others at most.
TIMER_QUEUE_TIMEOUT_SECONDS = 60.0
# A login waits most of its time; a tick may have many of them to make.
IMAP_THREADS = 16


class Connections(Tables):
    """All connections there are."""

    @cached_property
    def targets(self) -> WebhookTargets:
        return WebhookTargets(self.settings.ca_file, self.settings.webhooks_loopback)

    @cached_property
    def shard_queue(self) -> StorageShardQueue:
        return StorageShardQueue(self.settings.queues, self.settings.managed_identity)

    @cached_property
    def clouds(self) -> Mapping[str, Cloud]:
        return clouds_with(self.settings.cloud)

    @cached_property
    def apps(self) -> KnownApps:
        return KnownApps(self.oauth_apps, self.settings.seed, self.clouds, self.clock)

    @cached_property
    def msal(self) -> MsalEntra:
        connections = PEOPLE_THREADS + TIMER_THREADS + METADATA_THREADS
        metadata = TokenCalls(METADATA_THREADS, QUEUE_TIMEOUT_SECONDS)
        applications = MsalApplications(self.settings.ca_file, connections, metadata)
        return MsalEntra(self.redirect_uri, applications, TokenCalls(PEOPLE_THREADS, QUEUE_TIMEOUT_SECONDS), self.clock)

    @cached_property
    def msal_for_timer(self) -> MsalEntra:
        return self.msal.with_calls(TokenCalls(TIMER_THREADS, TIMER_QUEUE_TIMEOUT_SECONDS))

    @cached_property
    def entra(self) -> GuardedEntra:
        return GuardedEntra(self.msal, self.breakers, self.outbox, self.clock)

    @cached_property
    def entra_for_timer(self) -> GuardedEntra:
        return self.entra.around(self.msal_for_timer)

    @cached_property
    def entra_callers(self) -> EntraCallers | None:
        settings, trust = self.settings, self.settings.entra_trust
        if trust is None:
            return None
        # Imported here because an app whose callers have API tokens does without.
        from shared.adapters.entra_callers import EntraCallerTokens  # noqa: PLC0415 - see above

        note = self.known_applications.note
        return EntraCallerTokens(trust, settings.cloud.authority, settings.ca_file, self.clock, note)

    @cached_property
    def known_applications(self) -> KnownApplications:
        return KnownApplications(self.calling_applications, self.clock)

    @cached_property
    def graph(self) -> HttpGraph:
        return HttpGraph(self.settings.ca_file)

    @cached_property
    def imap(self) -> ImapProbe:
        return ImapProbe(self.settings.ca_file, IMAP_THREADS)

    @cached_property
    def probes(self) -> MailboxProbes:
        return {Resource.GRAPH: self.graph, Resource.OUTLOOK: self.imap}

    @cached_property
    def probes_for_timer(self) -> MailboxProbes:
        """With connections and threads of their own, so that no person or caller waits behind a tick."""
        ca_file = self.settings.ca_file
        return {Resource.GRAPH: HttpGraph(ca_file), Resource.OUTLOOK: ImapProbe(ca_file, IMAP_THREADS)}

    @property
    def redirect_uri(self) -> str:
        """Where Entra sends people back to; it must be registered exactly so."""
        return f"{self.settings.base_url}/oauth"

    async def close(self) -> None:
        """End all connections."""
        self.msal.calls.close()
        self.msal_for_timer.calls.close()
        self.msal.applications.close()
        await self.data_keys.close()
        for key in self.vault_keys:
            await key.close()
        for probe in (*self.probes.values(), *self.probes_for_timer.values()):
            await probe.close()
        await self.targets.close()
        await self.shard_queue.close()
        await self.storage.close()
