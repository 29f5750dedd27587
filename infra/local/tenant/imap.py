"""Exchange Online's IMAP as far as a login needs it: XOAUTH2, and whether the inbox of a mailbox opens.

Answers are those of exchange-docs "Authenticate an IMAP, POP or SMTP connection using OAuth", IMAP Protocol Exchange;
and, where that page says nothing, of public protocol logs of the live service (email-oauth2-proxy issues 74 and 275,
MailKit issue 849, imap_tools issue 135). The protocol is RFC 3501, with SASL-IR of RFC 4959 and ID of RFC 2971.
"""

import asyncio
import base64
import binascii
import re
import ssl
from dataclasses import dataclass

from infra.local.tenant.bearer import Caller, read_caller
from infra.local.tenant.conditions import Outage
from infra.local.tenant.directory import Mailbox
from infra.local.tenant.failures import Refusal
from infra.local.tenant.tenant import Tenant
from infra.local.tenant.tokens import CLOCK_SKEW

ENDPOINT = "imap"
GREETING = "* OK The Microsoft Exchange IMAP4 service is ready. [TABPAEMAQQBMAA==]"
CAPABILITIES = "IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+"
ANY_TIME = {
    "CAPABILITY": [f"* CAPABILITY {CAPABILITIES}", "OK CAPABILITY completed."],
    "ID": ['* ID ("name" "Microsoft.Exchange.Imap4.Imap4Server" "version" "15.20")', "OK ID completed"],
    "LOGOUT": ["* BYE Microsoft Exchange Server IMAP4 server signing off.", "OK LOGOUT completed."],
    # exchange-docs, "Deprecation of Basic authentication in Exchange Online"
    "LOGIN": ["NO LOGIN failed."],
}
NOT_CONNECTED = "BAD User is authenticated but not connected."
HANGS_UP = "* BYE Connection closed. 14"
COMMAND_ERROR = "BAD Command Error. 12"
XOAUTH2 = re.compile("user=([^\x01]+)\x01auth=Bearer ([^\x01]+)\x01\x01")
NEEDED = {"IMAP.AccessAsUser.All"}
# What control can make a login answer with.
FAILURES = {
    "AuthenticateFailed": "NO AUTHENTICATE failed.",
    "Throttled": "NO Request is throttled. Suggested Backoff Time: 299910 milliseconds",
    "Unavailable": "NO Server Unavailable. 15",
}


@dataclass(slots=True)
class Session:
    """Who has logged in as which mailbox; `refused` counts commands to one that does not open."""

    caller: Caller | None = None
    mailbox: Mailbox | None = None
    opens: bool = False
    refused: int = 0


class ImapFront:
    """Serves connections, and knows what control has done to the endpoint."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._server: asyncio.Server | None = None

    async def serve(self, context: ssl.SSLContext) -> str:
        """Listen with TLS from the first byte; returns where, as host:port."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=context)
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conditions = self._tenant.conditions
        try:
            if delay := conditions.latency.get(ENDPOINT, 0) + conditions.latency.get("all", 0):
                await asyncio.sleep(delay)
            if outage := conditions.outages.get(ENDPOINT) or conditions.outages.get("all"):
                self._tenant.note("failed", endpoint=ENDPOINT, failure=f"outage-{outage}")
                await _spoil(outage, reader, writer)
                return
            await self._talk(Connection(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass  # gone, or no IMAP at all
        finally:
            writer.close()

    async def _talk(self, connection: "Connection") -> None:
        await connection.say(GREETING)
        session = Session()
        while line := await connection.hear():
            tag, _, rest = line.partition(" ")
            command, _, argument = rest.partition(" ")
            lines = await self._do(session, connection, command.upper(), argument)
            await connection.say(*lines[:-1], f"{tag} {lines[-1]}")
            if session.refused > 1:
                await connection.say(HANGS_UP)
            if session.refused > 1 or command.upper() == "LOGOUT":
                return

    async def _do(self, session: Session, connection: "Connection", command: str, argument: str) -> list[str]:
        """The lines that answer a command; the last one is its result."""
        if command in ANY_TIME:
            return ANY_TIME[command]
        if session.caller is None and command == "AUTHENTICATE":
            return [await self._authenticate(session, connection, argument)]
        if session.caller is None and command == "NOOP":
            return ["OK NOOP completed."]
        if session.caller is None or command not in {"NOOP", "LIST", "SELECT", "EXAMINE"}:
            return [COMMAND_ERROR]
        if session.opens:
            return self._open(session, command, argument)
        session.refused += 1
        return [NOT_CONNECTED]

    async def _authenticate(self, session: Session, connection: "Connection", argument: str) -> str:
        mechanism, _, response = argument.partition(" ")
        if mechanism.upper() != "XOAUTH2":
            return FAILURES["AuthenticateFailed"]
        if not response:
            await connection.say("+ ")
            response = await connection.hear()
        told = XOAUTH2.fullmatch(_decoded(response))
        failed = FAILURES["AuthenticateFailed"]
        try:
            caller = self._caller(told[2]) if told else None
        except Refusal:
            caller = None
        person = caller.person if caller else None
        mailbox = self._tenant.directory.mailbox(told[1], person.tenant_id if person else None) if told else None
        if fault := self._tenant.conditions.next_fault(ENDPOINT, person=person.oid if person else None):
            failed, caller = FAILURES[fault.failure], None
        if caller is not None and mailbox is not None:
            session.caller, session.mailbox = caller, mailbox
            session.opens = self._tenant.directory.opens(caller.person, mailbox)
        result = "OK AUTHENTICATE completed." if session.caller else failed
        address = mailbox.address if mailbox else None
        self._tenant.note("imap login", person=person.upn if person else None, mailbox=address, result=result)
        return result

    def _caller(self, token: str) -> Caller:
        """Who the token speaks for. Raises Refusal."""
        exchange = self._tenant.directory.resource("https://outlook.office.com")
        caller = read_caller(self._tenant, token, *((exchange.address, exchange.app_id) if exchange else ()))
        caller.needs(NEEDED, otherwise="InvalidAuthenticationToken")
        person = caller.person
        # Exchange takes part in continuous access evaluation (entra-docs concept-continuous-access-evaluation.md). A
        # token tells the second of its issue, no closer.
        if person.disabled or caller.issued + CLOCK_SKEW < int(person.revoked_at):
            raise Refusal("InvalidAuthenticationToken")
        return caller

    def _open(self, session: Session, command: str, argument: str) -> list[str]:
        if command == "NOOP":
            return ["OK NOOP completed."]
        if command == "LIST":
            folders = [f'* LIST (\\HasNoChildren) "/" {name}' for name in ("Drafts", "INBOX", '"Sent Items"')]
            return [*folders, "OK LIST completed."]
        name = argument.strip().strip('"')
        address = session.mailbox.address if session.mailbox else None
        self._tenant.note("imap opened", mailbox=address, folder=name, how=command)
        if name.upper() != "INBOX":
            return [f"NO {name} doesn't exist."]
        access = "READ-ONLY" if command == "EXAMINE" else "READ-WRITE"
        return [
            "* 0 EXISTS",
            "* 0 RECENT",
            "* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $MDNSent)",
            "* OK [PERMANENTFLAGS ()] Permanent flags",
            "* OK [UIDVALIDITY 14] UIDVALIDITY value",
            "* OK [UIDNEXT 1] The next unique identifier value",
            f"OK [{access}] {command} completed.",
        ]


@dataclass(frozen=True, slots=True)
class Connection:
    """Lines in, lines out."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def hear(self) -> str:
        """The next line without its end; empty when the client is gone."""
        return (await self.reader.readline()).decode("ascii", errors="replace").rstrip("\r\n")

    async def say(self, *lines: str) -> None:
        """Send lines."""
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())
        await self.writer.drain()


def _decoded(response: str) -> str:
    try:
        return base64.b64decode(response, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


async def _spoil(outage: Outage, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    match outage:
        case "503":
            await Connection(reader, writer).say(HANGS_UP)
        case "html":
            await Connection(reader, writer).say("HTTP/1.1 400 Bad Request", "Content-Type: text/html", "")
        case "reset":
            writer.transport.abort()
        case "hang":
            await reader.read()
