"""Microsoft's clouds: their addresses, mail servers and scopes."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import urlsplit

# Delegated permissions that open shared mailboxes (Graph permissions reference: Mail.*.Shared; Exchange: Authenticate
# an IMAP, POP or SMTP connection using OAuth).
BASE_SCOPES = {
    "api": ("Mail.ReadWrite.Shared", "Mail.Send.Shared", "User.Read"),
    "imap": ("IMAP.AccessAsUser.All", "POP.AccessAsUser.All", "SMTP.Send"),
}
# Servers for IMAP and POP, and for SMTP, where they are not the resource's own host (Microsoft support: POP, IMAP and
# SMTP settings for Outlook.com; Office 365 operated by 21Vianet; Microsoft 365 US government endpoints).
MAIL_SERVERS = {
    "outlook.office.com": ("outlook.office365.com", "smtp.office365.com"),
    "outlook.office365.us": ("outlook.office365.us", "smtp.office365.us"),
    "partner.outlook.cn": ("partner.outlook.cn", "smtp.partner.outlook.cn"),
}
IMAP_PORT, POP_PORT, SMTP_PORT = 993, 995, 587


class Resource(StrEnum):
    """What an access token is for. Each token is for one resource (Entra: v2-oauth2-auth-code-flow, `scope`)."""

    GRAPH = "graph"
    OUTLOOK = "outlook"


class MailServer(NamedTuple):
    """The host and port of a mail protocol."""

    host: str
    port: int


class Cloud(NamedTuple):
    """The addresses of a cloud's authority, Graph and Outlook; each is an https URL without a path.

    `imap_server` replaces the cloud's own IMAP server. No servers for POP and SMTP are known beside it: the cloud's own
    ones would get tokens of another tenant.
    """

    authority: str
    graph: str
    outlook: str
    imap_server: MailServer | None = None

    @property
    def imap(self) -> MailServer:
        """IMAP over TLS."""
        return self.imap_server or MailServer(self._mail_servers[0], IMAP_PORT)

    @property
    def pop(self) -> MailServer | None:
        """POP over TLS."""
        return None if self.imap_server else MailServer(self._mail_servers[0], POP_PORT)

    @property
    def smtp(self) -> MailServer | None:
        """SMTP submission with STARTTLS."""
        return None if self.imap_server else MailServer(self._mail_servers[1], SMTP_PORT)

    @property
    def _mail_servers(self) -> tuple[str, str]:
        host = urlsplit(self.outlook).hostname or ""
        return MAIL_SERVERS.get(host, (host, host))

    def url_of(self, resource: Resource) -> str:
        """The resource's URL, which its scopes begin with."""
        return self.graph if resource is Resource.GRAPH else self.outlook

    def scopes(self, base: Iterable[str], extra: Iterable[str] = (), skip: Iterable[str] = ()) -> tuple[str, ...]:
        """The full names of these base scopes and the extra ones, so that tokens are for this very cloud.

        A short name is a scope of Graph. `skip` leaves scopes out, by their full or short names.
        """
        roots = {"api": self.graph, "imap": self.outlook}
        requested = [f"{roots[name]}/{scope}" for name in base for scope in BASE_SCOPES[name]]
        requested += [scope if "://" in scope else f"{self.graph}/{scope}" for scope in extra]
        skipped = {scope.casefold() for scope in skip}
        return tuple(
            scope
            for scope in dict.fromkeys(requested)
            if not {scope.casefold(), scope.rpartition("/")[2].casefold()} & skipped
        )


# Entra: national clouds, authentication endpoints; Graph: national cloud deployments; Exchange: Microsoft 365 URLs and
# IP address ranges of each cloud.
GLOBAL = "global"
CLOUDS = {
    GLOBAL: Cloud("https://login.microsoftonline.com", "https://graph.microsoft.com", "https://outlook.office.com"),
    "gcc-high": Cloud("https://login.microsoftonline.us", "https://graph.microsoft.us", "https://outlook.office365.us"),
    "dod": Cloud(
        "https://login.microsoftonline.us", "https://dod-graph.microsoft.us", "https://outlook-dod.office365.us"
    ),
    "china": Cloud(
        "https://login.partner.microsoftonline.cn",
        "https://microsoftgraph.chinacloudapi.cn",
        "https://partner.outlook.cn",
    ),
}


def clouds_with(own: Cloud) -> Mapping[str, Cloud]:
    """Every cloud by its name. `own`, the cloud of the settings, takes the place of the global one."""
    return {**CLOUDS, GLOBAL: own}


def cloud_name(cloud: Cloud) -> str:
    """The name of a cloud. An unknown one counts as the global one."""
    return next((name for name, known in CLOUDS.items() if known == cloud), GLOBAL)
