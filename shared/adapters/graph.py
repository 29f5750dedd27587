"""Microsoft Graph: the harmless requests that prove access to a mailbox. The only file that knows httpx."""

import asyncio
import logging
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from shared.adapters.connection_faults import ConnectionFaults
from shared.domain.audit import client_request_id_header
from shared.domain.failure import GRAPH_SETUP, GRAPH_UNAVAILABLE, TOKEN_REFUSALS
from shared.domain.graph_answer import graph_refusal
from shared.domain.oauth_app import OAuthApp
from shared.domain.secret import Secret
from shared.ports import MailboxRefused, MailboxUnavailable, Person, SignedIn

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10.0
TOKEN_RETRY_SECONDS = 1.0
# httpx checks every pooled connection for each request (encode/httpx issue 3215), so a small pool is faster.
MAX_CONNECTIONS = 16


class HttpGraph:
    """Calls Graph v1.0 in the OAuth app's cloud with a delegated token."""

    def __init__(self, ca_file: str | None, faults: ConnectionFaults) -> None:
        self._ca_file = ca_file
        self._faults = faults
        self._client: httpx.AsyncClient | None = None

    async def person(self, app: OAuthApp, signed_in: SignedIn) -> Person:
        """The person whose token it is (permission User.Read), and the id of their own inbox, if they have one."""
        token = signed_in.tokens.access_token
        profile, inbox = await asyncio.gather(
            self._get(app, "/me?$select=displayName,mail,proxyAddresses,userPrincipalName", token),
            self._own_inbox(app, token),
        )
        name, mail = profile.get("userPrincipalName"), profile.get("mail")
        smtp = [proxy[5:] for proxy in profile.get("proxyAddresses") or () if proxy[:5].lower() == "smtp:"]
        addresses = frozenset(address for address in (name, mail, *smtp) if address)
        return Person(name, mail, profile.get("displayName"), addresses, inbox)

    async def open(self, app: OAuthApp, token: Secret, email: str, *, shared: bool) -> str | None:
        """Read the inbox folder, and return its id. Raises MailboxRefused and MailboxUnavailable.

        `mailboxSettings` would be refused for shared mailboxes even with access. Folder ids do not change, even without
        the header for immutable ids (Graph: "Obtain immutable identifiers for Outlook resources", containers).
        """
        owner = f"users/{quote(email, safe='@')}" if shared else "me"
        inbox = (await self._get(app, f"/{owner}/mailFolders/inbox?$select=id", token)).get("id")
        return inbox if isinstance(inbox, str) else None

    async def own_address(self, app: OAuthApp, token: Secret) -> str | None:
        """The person's `mail` (permission User.Read). Raises MailboxRefused and MailboxUnavailable."""
        mail = (await self._get(app, "/me?$select=mail", token)).get("mail")
        return mail if isinstance(mail, str) else None

    async def _own_inbox(self, app: OAuthApp, token: Secret) -> str | None:
        try:
            return await self.open(app, token, "", shared=False)
        except MailboxRefused as refused:
            if refused.refusal in TOKEN_REFUSALS:
                raise
            return None  # a person without a mailbox, or a token without mail scopes

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _get(self, app: OAuthApp, path: str, token: Secret) -> dict[str, Any]:
        """Read a resource. Raises MailboxRefused and MailboxUnavailable.

        A 401 is believed when it is repeated: a token may be ahead of what one of Graph's servers knows.
        """
        try:
            return await self._get_once(app, path, token)
        except MailboxRefused as refused:
            if refused.refusal not in TOKEN_REFUSALS:
                raise
        await asyncio.sleep(TOKEN_RETRY_SECONDS)
        return await self._get_once(app, path, token)

    async def _get_once(self, app: OAuthApp, path: str, token: Secret) -> dict[str, Any]:
        import httpx  # noqa: PLC0415 - not needed for hand-outs

        try:
            headers = {"Authorization": f"Bearer {token.reveal()}", **client_request_id_header()}
            response = await self._open_client().get(f"{app.cloud.graph}/v1.0{path}", headers=headers)
        except (httpx.HTTPError, OSError) as error:
            is_ours = self._faults.is_ours(GRAPH_SETUP, app.cloud.graph, error)
            raise MailboxUnavailable(GRAPH_SETUP if is_ours else GRAPH_UNAVAILABLE) from None
        self._faults.succeeded(GRAPH_SETUP, app.cloud.graph)
        body = _json(response)
        if response.is_success and isinstance(body, dict):
            return body
        refused = graph_refusal(response.status_code, body, response.headers.get("WWW-Authenticate", ""))
        if refused is None:
            raise MailboxUnavailable
        fields = {"app": app.id, "status": response.status_code, "code": refused.graph_code, "reason": refused.refusal}
        log.info("graph refused", extra=fields)
        raise MailboxRefused(refused.refusal, refused.claims)

    def _open_client(self) -> "httpx.AsyncClient":
        import httpx  # noqa: PLC0415 - as above

        if self._client is None:
            verify = ssl.create_default_context(cafile=self._ca_file)
            limits = httpx.Limits(max_connections=MAX_CONNECTIONS)
            # Tokens go to Graph only: proxies from the environment and netrc are ignored.
            self._client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, limits=limits, verify=verify, trust_env=False)
        return self._client


def _json(response: "httpx.Response") -> Any:  # noqa: ANN401 - any JSON
    """The body, or None if it is not JSON."""
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None
