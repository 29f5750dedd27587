"""IMAP: the login that proves access, through imaplib, which blocks and therefore runs in a thread pool of its own."""

import asyncio
import logging
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from shared.domain.clouds import MailServer
from shared.domain.failure import MailboxRefusal
from shared.domain.oauth_app import OAuthApp, covers_shared_mailboxes
from shared.domain.secret import Secret, xoauth2
from shared.ports import MailboxRefused, MailboxUnavailable, Person, SignedIn

if TYPE_CHECKING:
    import imaplib

log = logging.getLogger(__name__)

TIMEOUT = 10.0  # of one step of a login
# Of the whole login, the wait for a thread included: people wait for it. Its thread ends by the timeouts of its steps.
DEADLINE_SECONDS = 20.0
# What Exchange answers for a mailbox that it does not let the person into. The first is documented ("Authenticate an
# IMAP, POP or SMTP connection using OAuth"); the second comes with the first command after a login that was accepted,
# when there is no permission on the mailbox or IMAP is turned off for it (email-oauth2-proxy issue 275).
NO_ACCESS = ("authenticate failed", "authenticated but not connected")


class ImapProbe:
    """Logs in as the mailbox with the person's token, as a mail program would."""

    def __init__(self, ca_file: str | None, threads: int) -> None:
        self._ca_file = ca_file
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._context: ssl.SSLContext | None = None

    async def person(self, app: OAuthApp, signed_in: SignedIn) -> Person:  # noqa: ARG002 - the port's signature
        """Whom the ID token named, which says no more than `mail` does: a token for Outlook opens no profile.

        Without the scope of IMAP nothing opens.
        """
        if not covers_shared_mailboxes(signed_in.tokens.scopes):
            raise MailboxRefused(MailboxRefusal.MISSING_SCOPE)
        name = signed_in.principal.sign_in_name
        return Person(None, name, None, frozenset({name}))

    async def open(self, app: OAuthApp, token: Secret, email: str, *, shared: bool) -> None:  # noqa: ARG002 - as above
        """Log in and EXAMINE the inbox, which sets no flags (RFC 9051 section 6.3.3).

        Exchange gives mailboxes no id over IMAP (RFC 8474 is not among its capabilities), and the same UIDVALIDITY to
        many of them: which mailbox opened cannot be told.
        """
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="imap")
        response = xoauth2(email, token)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await loop.run_in_executor(self._pool, self._examine, app.cloud.imap, response)
        except TimeoutError as error:
            raise _unavailable(error) from None

    async def close(self) -> None:
        """End the threads, but wait for no server."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _examine(self, server: MailServer, response: Secret) -> None:
        """One login, in the pool's thread."""
        import imaplib  # noqa: PLC0415 - the hand-out path does without

        # Reading the roots takes longer than a login; who comes second makes one too, and that is fine.
        self._context = self._context or ssl.create_default_context(cafile=self._ca_file)
        try:
            client = imaplib.IMAP4_SSL(server.host, server.port, ssl_context=self._context, timeout=TIMEOUT)
            try:
                _select(client, response)
            finally:
                _leave(client)
        except imaplib.IMAP4.abort as error:  # the connection ended: BYE, or nothing at all
            raise _unavailable(error) from None
        except imaplib.IMAP4.error as error:
            raise _refusal(error) from None
        except (OSError, ValueError) as error:
            raise _unavailable(error) from None


def _leave(client: "imaplib.IMAP4_SSL") -> None:
    try:
        client.logout()
    except (client.error, OSError):  # it has hung up already, and the answer is known
        with suppress(OSError):
            client.shutdown()


def _select(client: "imaplib.IMAP4_SSL", response: Secret) -> None:
    # What is sent behind an error's challenge is empty (SASL XOAUTH2, error response).
    answers = iter([response.reveal().encode()])
    client.authenticate("XOAUTH2", lambda _: next(answers, b""))
    status, told = client.select("INBOX", readonly=True)
    if status != "OK":
        raise client.error(str(told))


def _refusal(error: Exception) -> Exception:
    """Tell a mailbox that does not open from an outage, such as "Request is throttled" or "Server Unavailable. 15"."""
    if any(words in str(error).casefold() for words in NO_ACCESS):
        return MailboxRefused(MailboxRefusal.NO_ACCESS)
    return _unavailable(error)


def _unavailable(error: Exception) -> MailboxUnavailable:
    log.warning("imap does not answer", extra={"error": type(error).__name__})
    return MailboxUnavailable()
