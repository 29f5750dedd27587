"""Microsoft Graph: the harmless calls that prove access. The only file that knows httpx."""

import asyncio
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from shared.domain.audit import client_request_id_header
from shared.domain.failure import MailboxRefusal
from shared.domain.oauth_app import OAuthApp
from shared.domain.secret import Secret
from shared.ports import MailboxRefused, MailboxUnavailable, Person, SignedIn

if TYPE_CHECKING:
    import httpx

TIMEOUT = 10.0
# httpx looks at every pooled connection for each request (encode/httpx issue 3215): small pools are fast pools.
CONNECTIONS = 16


@dataclass(slots=True)
class HttpGraph:
    """Asks Graph v1.0, in the OAuth app's cloud, with a delegated token."""

    ca_file: str | None
    _client: "httpx.AsyncClient | None" = None

    async def person(self, app: OAuthApp, signed_in: SignedIn) -> Person:
        """Who the token is for (permission User.Read), and their own inbox, as far as they have one."""
        token = signed_in.tokens.access_token
        about, inbox = await asyncio.gather(
            self._get(app, "/me?$select=displayName,mail,proxyAddresses,userPrincipalName", token),
            self._own_inbox(app, token),
        )
        name, mail = about.get("userPrincipalName"), about.get("mail")
        smtp = [proxy[5:] for proxy in about.get("proxyAddresses") or () if proxy[:5].lower() == "smtp:"]
        addresses = frozenset(address for address in (name, mail, *smtp) if address)
        return Person(name, mail, about.get("displayName"), addresses, inbox)

    async def open(self, app: OAuthApp, token: Secret, email: str, *, shared: bool) -> str | None:
        """Look at the inbox folder. `mailboxSettings` would be refused on shared mailboxes even with access.

        The ids of folders are constant without being asked for as immutable ones (Graph: "Obtain immutable identifiers
        for Outlook resources", containers).
        """
        owner = f"users/{quote(email, safe='@')}" if shared else "me"
        inbox = (await self._get(app, f"/{owner}/mailFolders/inbox?$select=id", token)).get("id")
        return inbox if isinstance(inbox, str) else None

    async def _own_inbox(self, app: OAuthApp, token: Secret) -> str | None:
        try:
            return await self.open(app, token, "", shared=False)
        except MailboxRefused:  # a person without a mailbox, or a token for no mail at all
            return None

    async def close(self) -> None:
        """End all connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _get(self, app: OAuthApp, path: str, token: Secret) -> dict[str, Any]:
        import httpx  # noqa: PLC0415 - the hand-out path does without

        try:
            headers = {"Authorization": f"Bearer {token.reveal()}", **client_request_id_header()}
            answer = await self._connected().get(f"{app.cloud.graph}/v1.0{path}", headers=headers)
            body = answer.json()
        except (httpx.HTTPError, ValueError, RecursionError):
            raise MailboxUnavailable from None
        if answer.is_success and isinstance(body, dict):
            return body
        raise _refusal(answer.status_code, body)

    def _connected(self) -> "httpx.AsyncClient":
        import httpx  # noqa: PLC0415 - as above

        if self._client is None:
            verify = ssl.create_default_context(cafile=self.ca_file)
            limits = httpx.Limits(max_connections=CONNECTIONS)
            # Tokens go to Graph alone: no proxy of the environment is asked, and no netrc is read.
            self._client = httpx.AsyncClient(timeout=TIMEOUT, limits=limits, verify=verify, trust_env=False)
        return self._client


def _refusal(status: int, body: Any) -> Exception:  # noqa: ANN401 - whatever came in place of Graph's JSON
    """Tell a mailbox that does not open from a missing permission, and both from an outage.

    Exchange answers 403 ErrorAccessDenied or 404 ErrorItemNotFound for a mailbox that is not shared with the person,
    Entra 403 Authorization_RequestDenied for a scope that is not there (Graph: error responses). A 401 right after a
    refresh is continuous access evaluation at work, which passes or ends in a refused refresh.
    """
    error = body.get("error") if isinstance(body, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    if code is None or status in {401, 408, 429} or status >= 500:  # noqa: PLR2004 - HTTP's own numbers
        return MailboxUnavailable()
    if code == "Authorization_RequestDenied":
        return MailboxRefused(MailboxRefusal.MISSING_SCOPE)
    return MailboxRefused(MailboxRefusal.NO_ACCESS)
