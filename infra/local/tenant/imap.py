"""Exchange Online's IMAP: connections, and logins by XOAUTH2. `imap_mailbox` has the commands on a mailbox.

The responses follow Microsoft's page and, where it says nothing, public protocol logs of the live service
(email-oauth2-proxy issues 74 and 275, MailKit issue 849, imap_tools issue 135). The protocol is RFC 3501, with SASL-IR
of RFC 4959 and ID of RFC 2971.
https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth
"""

import asyncio
import base64
import binascii
import re
import ssl
from dataclasses import dataclass

from infra.local.tenant.bearer import Caller, read_caller
from infra.local.tenant.conditions import Outage
from infra.local.tenant.entities import Mailbox
from infra.local.tenant.failures import Refusal
from infra.local.tenant.imap_mailbox import COMMAND_ERROR, Line, MailboxCommands
from infra.local.tenant.tenant import Tenant
from infra.local.tenant.tokens import CLOCK_SKEW_SECONDS

ENDPOINT = "imap"
GREETING = "* OK The Microsoft Exchange IMAP4 service is ready. [TABPAEMAQQBMAA==]"
CAPABILITIES = "IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+"
# Commands that are allowed before and after a login.
UNAUTHENTICATED_COMMANDS = {
    "CAPABILITY": [f"* CAPABILITY {CAPABILITIES}", "OK CAPABILITY completed."],
    "ID": ['* ID ("name" "Microsoft.Exchange.Imap4.Imap4Server" "version" "15.20")', "OK ID completed"],
    "LOGOUT": ["* BYE Microsoft Exchange Server IMAP4 server signing off.", "OK LOGOUT completed."],
    # https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/deprecation-of-basic-authentication-exchange-online
    "LOGIN": ["NO LOGIN failed."],
}
MAILBOX_COMMANDS = {"NOOP", "LIST", "SELECT", "EXAMINE", "CLOSE", "UNSELECT", "SEARCH", "FETCH", "STORE", "UID"}
NOT_CONNECTED = "BAD User is authenticated but not connected."
CONNECTION_CLOSED = "* BYE Connection closed. 14"
CONTINUE = "+ Ready for additional command text."
LITERAL = re.compile(r"\{(\d+)(\+?)\}$")
MAX_LITERAL_BYTES = 1_000_000
XOAUTH2 = re.compile("user=([^\x01]+)\x01auth=Bearer ([^\x01]+)\x01\x01")
REQUIRED_SCOPES = {"IMAP.AccessAsUser.All"}
# Failures that control can arm.
LOGIN_FAILURES = {
    "AuthenticateFailed": "NO AUTHENTICATE failed.",
    "Throttled": "NO Request is throttled. Suggested Backoff Time: 299910 milliseconds",
    "Unavailable": "NO Server Unavailable. 15",
}


@dataclass(slots=True)
class Session:
    """Who has logged in. Without `commands` the mailbox cannot be opened; `rejected_commands` counts the attempts."""

    caller: Caller | None = None
    commands: MailboxCommands | None = None
    rejected_commands: int = 0


@dataclass(frozen=True, slots=True)
class Connection:
    """Reads and writes lines."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read_line(self) -> str:
        """The next line without its line break; empty when the client has disconnected."""
        return (await self.reader.readline()).decode(errors="replace").rstrip("\r\n")

    async def read_command(self) -> str:
        """The next command, with its literals as quoted strings (RFC 3501 section 4.3, RFC 7888)."""
        command = await self.read_line()
        while announced := LITERAL.search(command):
            if int(announced[1]) > MAX_LITERAL_BYTES:
                raise ValueError("the literal is too long")
            if not announced[2]:
                await self.write_lines(CONTINUE)
            literal = (await self.reader.readexactly(int(announced[1]))).decode(errors="replace")
            quoted = literal.replace("\\", "\\\\").replace('"', '\\"')
            command = f'{command[: announced.start()]}"{quoted}"{await self.read_line()}'
        return command

    async def write_lines(self, *lines: Line) -> None:
        """Send lines."""
        self.writer.write(b"".join((line.encode() if isinstance(line, str) else line) + b"\r\n" for line in lines))
        await self.writer.drain()


class ImapServer:
    """Serves IMAP connections under the conditions that control has set."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._server: asyncio.Server | None = None

    async def serve(self, context: ssl.SSLContext) -> str:
        """Listen with implicit TLS; returns the address as host:port."""
        self._server = await asyncio.start_server(self._handle, "127.0.0.1", 0, ssl=context)
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conditions = self._tenant.conditions
        connection = Connection(reader, writer)
        try:
            if delay := conditions.latency_of(ENDPOINT):
                await asyncio.sleep(delay)
            if outage := conditions.outage_of(ENDPOINT):
                self._tenant.note("failed", endpoint=ENDPOINT, failure=f"outage-{outage}")
                await _simulate(outage, connection)
                return
            await self._run_session(connection)
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass  # the client disconnected, or does not speak IMAP
        finally:
            writer.close()

    async def _run_session(self, connection: Connection) -> None:
        await connection.write_lines(GREETING)
        session = Session()
        while line := await connection.read_command():
            tag, _, rest = line.partition(" ")
            command, _, argument = rest.partition(" ")
            lines = await self._execute(session, connection, command.upper(), argument)
            await connection.write_lines(*lines[:-1], f"{tag} {lines[-1]!s}")
            if session.rejected_commands > 1:
                await connection.write_lines(CONNECTION_CLOSED)
            if session.rejected_commands > 1 or command.upper() == "LOGOUT":
                return

    async def _execute(self, session: Session, connection: Connection, command: str, argument: str) -> list[Line]:
        """The response lines of a command; the last one is its result."""
        if command in UNAUTHENTICATED_COMMANDS:
            return list(UNAUTHENTICATED_COMMANDS[command])
        if session.caller is None and command == "AUTHENTICATE":
            return [await self._authenticate(session, connection, argument)]
        if session.caller is None and command == "NOOP":
            return ["OK NOOP completed."]
        if session.caller is None or command not in MAILBOX_COMMANDS:
            return [COMMAND_ERROR]
        if session.commands is not None:
            return session.commands.execute(command, argument)
        session.rejected_commands += 1
        return [NOT_CONNECTED]

    async def _authenticate(self, session: Session, connection: Connection, argument: str) -> str:
        mechanism, _, response = argument.partition(" ")
        if mechanism.upper() != "XOAUTH2":
            return LOGIN_FAILURES["AuthenticateFailed"]
        if not response:
            await connection.write_lines("+ ")
            response = await connection.read_line()
        credentials = XOAUTH2.fullmatch(_decode(response))
        caller = self._caller(credentials[2]) if credentials else None
        person = caller.person if caller else None
        tenant_id = person.tenant_id if person else None
        mailbox = self._tenant.directory.mailbox(credentials[1], tenant_id) if credentials else None
        failure = LOGIN_FAILURES["AuthenticateFailed"]
        if fault := self._tenant.conditions.next_fault(ENDPOINT, person=person.oid if person else None):
            failure, caller = LOGIN_FAILURES[fault.failure], None
        if caller is not None and mailbox is not None and mailbox.hosting == "exchangeOnline":
            session.caller = caller
            if self._tenant.directory.can_open(caller.person, mailbox):
                session.commands = self._commands(mailbox)
        result = "OK AUTHENTICATE completed." if session.caller else failure
        address = mailbox.address if mailbox else None
        self._tenant.note("imap login", person=person.upn if person else None, mailbox=address, result=result)
        return result

    def _caller(self, token: str) -> Caller | None:
        """The caller of a token that may log in, or None."""
        exchange = self._tenant.directory.resource("https://outlook.office.com")
        try:
            caller = read_caller(self._tenant, token, *((exchange.address, exchange.app_id) if exchange else ()))
            caller.require_any(REQUIRED_SCOPES, refusal="InvalidAuthenticationToken")
        except Refusal:
            return None
        # Exchange supports continuous access evaluation: a disabled person or a revoked sign-in is rejected at once.
        # https://learn.microsoft.com/entra/identity/conditional-access/concept-continuous-access-evaluation
        # The token has its issue time in whole seconds.
        person = caller.person
        is_revoked = caller.issued + CLOCK_SKEW_SECONDS < int(person.revoked_at)
        return None if person.disabled or is_revoked else caller

    def _commands(self, mailbox: Mailbox) -> MailboxCommands:
        def note_opened(folder: str, command: str) -> None:
            self._tenant.note("imap opened", mailbox=mailbox.address, folder=folder, how=command)

        return MailboxCommands(self._tenant.mail.mailbox(mailbox.oid), note_opened)


def _decode(response: str) -> str:
    try:
        return base64.b64decode(response, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


async def _simulate(outage: Outage, connection: Connection) -> None:
    match outage:
        case "503":
            await connection.write_lines(CONNECTION_CLOSED)
        case "html":
            await connection.write_lines("HTTP/1.1 400 Bad Request", "Content-Type: text/html", "")
        case "reset":
            connection.writer.transport.abort()
        case "hang":
            await connection.reader.read()
