"""Which network errors are caused by our own settings, and not by an outage.

Ours are: a certificate that is not trusted (a wrong MAILBIND_CA_FILE, or a proxy that inspects TLS), a CA file without
certificates, and a host name that does not exist. An outage is everything else: time-outs, refused or ended
connections, and a resolver that fails for the moment (EAI_AGAIN in getaddrinfo(3)).
"""

import logging
import socket
import ssl
from collections.abc import Iterator

from shared.domain.failure import GRAPH_SETUP, GRAPH_UNAVAILABLE
from shared.ports import MailboxUnavailable

log = logging.getLogger(__name__)

CERTIFICATE_NOT_TRUSTED = "certificate not trusted"
CA_FILE_UNREADABLE = "CA file unreadable"
HOST_UNKNOWN = "host name unknown"

UNKNOWN_HOST_ERRORS = {socket.EAI_NONAME, socket.EAI_NODATA}
# OpenSSL's libraries that read a CA file.
FILE_LIBRARIES = {"PEM", "X509"}


def own_fault(error: BaseException) -> str | None:
    """What is wrong with our settings, or None for an outage. Clients wrap the error, so its causes are searched."""
    return next(filter(None, map(_own_fault, _with_causes(error))), None)


class MailboxConnection:
    """Judges the network errors of one client, and logs a wrong setup once until the next success."""

    def __init__(self) -> None:
        self._logged: str | None = None

    def succeeded(self) -> None:
        """A server answered."""
        self._logged = None

    def unavailable(self, app_id: str, error: BaseException) -> MailboxUnavailable:
        """The exception for an error of a connection."""
        fault = own_fault(error)
        if fault is not None and fault != self._logged:
            log.error("mailboxes cannot be reached", extra={"app": app_id, "reason": fault})
            self._logged = fault
        return MailboxUnavailable(GRAPH_SETUP if fault else GRAPH_UNAVAILABLE)


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    pending, seen = [error], set[int]()
    while pending:
        current = pending.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        # urllib3 passes the cause as an argument only.
        causes = (current.__cause__, current.__context__, *current.args)
        pending += [cause for cause in causes if isinstance(cause, BaseException)]


def _own_fault(error: BaseException) -> str | None:
    match error:
        case ssl.SSLCertVerificationError():
            return CERTIFICATE_NOT_TRUSTED
        case ssl.SSLError() if error.library in FILE_LIBRARIES:
            return CA_FILE_UNREADABLE
        case FileNotFoundError() | PermissionError():
            return CA_FILE_UNREADABLE
        case socket.gaierror() if error.errno in UNKNOWN_HOST_ERRORS:
            return HOST_UNKNOWN
        case _:
            return None
