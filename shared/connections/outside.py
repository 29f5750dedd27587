"""What lies beyond storage: Microsoft, the queue, and where events go."""

from collections.abc import Mapping
from functools import cached_property

from shared.adapters.entra import MsalEntra
from shared.adapters.graph import HttpGraph
from shared.adapters.imap import ImapProbe
from shared.adapters.shard_queue import StorageShardQueue
from shared.adapters.webhook_targets import WebhookTargets
from shared.connections.tables import Tables
from shared.domain.clouds import Cloud, Resource, clouds_around
from shared.ports import EntraCallers, MailboxProbes
from shared.usecases.callers.known_applications import KnownApplications
from shared.usecases.oauth_apps.guarded_entra import GuardedEntra
from shared.usecases.oauth_apps.known_apps import KnownApps

MSAL_THREADS = 32
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
        return clouds_around(self.settings.cloud)

    @cached_property
    def apps(self) -> KnownApps:
        return KnownApps(self.oauth_apps, self.settings.seed, self.clouds, self.clock)

    @cached_property
    def msal(self) -> MsalEntra:
        return MsalEntra(self.redirect_uri, self.settings.ca_file, MSAL_THREADS, self.clock)

    @cached_property
    def entra(self) -> GuardedEntra:
        return GuardedEntra(self.msal, self.breakers, self.outbox, self.clock)

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

    @property
    def redirect_uri(self) -> str:
        """Where Entra sends people back to; it must be registered exactly so."""
        return f"{self.settings.base_url}/oauth"

    async def close(self) -> None:
        """End all connections."""
        self.msal.close()
        await self.data_keys.close()
        for key in self.vault_keys:
            await key.close()
        await self.graph.close()
        self.imap.close()
        await self.targets.close()
        await self.shard_queue.close()
        await self.storage.close()
