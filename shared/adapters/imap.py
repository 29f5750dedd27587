"""IMAP: the login that proves access to a mailbox. imaplib blocks, so it runs in a thread pool of its own."""

import asyncio
import logging
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from shared.adapters.connection_faults import ConnectionFaults
from shared.domain.clouds import MailServer
from shared.domain.failure import GRAPH_SETUP, MailboxRefusal
from shared.domain.oauth_app import OAuthApp, covers_shared_mailboxes
from shared.domain.secret import Secret, xoauth2
from shared.ports import MailboxRefused, MailboxUnavailable, Person, SignedIn

if TYPE_CHECKING:
    import imaplib

log = logging.getLogger(__name__)

STEP_TIMEOUT_SECONDS = 10.0
# For the whole login, including the wait for a thread, because people wait for it. The step timeouts end the thread.
LOGIN_TIMEOUT_SECONDS = 20.0
# Exchange's responses when the person has no access. The first one is documented ("Authenticate an IMAP, POP or SMTP
# connection using OAuth"). The second one follows the first command after an accepted login, when the person has no
# permission on the mailbox or IMAP is turned off for it (email-oauth2-proxy issue 275).
NO_ACCESS_MESSAGES = ("authenticate failed", "authenticated but not connected")


class ImapProbe:
    """Logs in to the mailbox with the person's token, as a mail program does."""

    def __init__(self, ca_file: str | None, threads: int, faults: ConnectionFaults) -> None:
        self._ca_file = ca_file
        self._faults = faults
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._context: ssl.SSLContext | None = None

    async def person(self, app: OAuthApp, signed_in: SignedIn) -> Person:  # noqa: ARG002 - the port's signature
        """The person that the ID token named; a token for Outlook gives no access to their profile.

        Raises MailboxRefused without the IMAP scope.
        """
        if not covers_shared_mailboxes(signed_in.tokens.scopes):
            raise MailboxRefused(MailboxRefusal.MISSING_SCOPE)
        name = signed_in.principal.sign_in_name
        return Person(None, name, None, frozenset({name}))

    async def open(self, app: OAuthApp, token: Secret, email: str, *, shared: bool) -> None:  # noqa: ARG002 - as above
        """Log in, and EXAMINE the inbox, which sets no flags (RFC 9051 section 6.3.3).

        Returns no id: over IMAP, Exchange gives mailboxes none (RFC 8474 is not among its capabilities), and many have
        the same UIDVALIDITY.
        """
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="imap")
        response = xoauth2(email, token)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LOGIN_TIMEOUT_SECONDS):
                await loop.run_in_executor(self._pool, self._examine, app.cloud.imap, response)
        except TimeoutError as error:
            raise _unavailable(error) from None

    async def own_address(self, app: OAuthApp, token: Secret) -> None:
        """IMAP tells no address."""

    async def close(self) -> None:
        """End the threads, without waiting for servers."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _examine(self, server: MailServer, response: Secret) -> None:
        """Log in. Runs in a thread of the pool."""
        import imaplib  # noqa: PLC0415 - not needed for hand-outs

        # Cached, because reading the root certificates takes longer than a login. Two threads may both create one.
        try:
            self._context = self._context or ssl.create_default_context(cafile=self._ca_file)
            client = imaplib.IMAP4_SSL(
                server.host, server.port, ssl_context=self._context, timeout=STEP_TIMEOUT_SECONDS
            )
            self._faults.succeeded(GRAPH_SETUP, server.host)  # the login may still be refused
            try:
                _select(client, response)
            finally:
                _log_out(client)
        except imaplib.IMAP4.abort as error:  # the connection ended, with or without BYE
            raise _unavailable(error) from None
        except imaplib.IMAP4.error as error:
            raise _refusal(error) from None
        except (OSError, ValueError) as error:
            if self._faults.is_ours(GRAPH_SETUP, server.host, error):
                raise MailboxUnavailable(GRAPH_SETUP) from None
            raise _unavailable(error) from None


def _log_out(client: "imaplib.IMAP4_SSL") -> None:
    try:
        client.logout()
    except (client.error, OSError):  # the server closed the connection already; the result is known
        with suppress(OSError):
            client.shutdown()


def _select(client: "imaplib.IMAP4_SSL", response: Secret) -> None:
    # The response to an error's challenge is empty (SASL XOAUTH2, error response).
    responses = iter([response.reveal().encode()])
    client.authenticate("XOAUTH2", lambda _: next(responses, b""))
    status, message = client.select("INBOX", readonly=True)
    if status != "OK":
        raise client.error(str(message))


def _refusal(error: Exception) -> Exception:
    """MailboxRefused for missing access; MailboxUnavailable for an outage, such as "Request is throttled"."""
    if any(message in str(error).casefold() for message in NO_ACCESS_MESSAGES):
        return MailboxRefused(MailboxRefusal.NO_ACCESS)
    return _unavailable(error)


def _unavailable(error: Exception) -> MailboxUnavailable:
    log.warning("imap does not answer", extra={"error": type(error).__name__})
    return MailboxUnavailable()
