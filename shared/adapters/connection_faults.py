"""Which network errors are caused by our own settings, and not by an outage.

Ours are: a certificate that is not trusted (a wrong MAILBIND_CA_FILE, or a proxy that inspects TLS), a CA file without
certificates, and a host name that does not exist. An outage is everything else: time-outs, refused or ended
connections, and a resolver that fails for the moment (EAI_AGAIN in getaddrinfo(3)).
"""

import logging
import socket
import ssl
from collections.abc import Iterator, Sequence

from shared.domain.failure import SetupFault
from shared.ports import Clock

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


class ConnectionFaults:
    """What our own settings make unreachable in this process. Each fault is logged once until the next success.

    A fault that no attempt has met for an hour is no longer reported, because it may be over.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._faults: dict[tuple[str, str], SetupFault] = {}

    def is_ours(self, code: str, host: str, error: BaseException) -> bool:
        """Whether our settings caused the error of a connection. If so, the fault is recorded."""
        reason, now = own_fault(error), self._clock()
        if reason is None:
            return False
        known = self._faults.get((code, host))
        if known is None or known.reason != reason or not known.is_recent(now):
            log.error("service cannot be reached", extra={"code": code, "host": host, "reason": reason})
            known = SetupFault(code, host, reason, since=now, met=now)
        self._faults[code, host] = known._replace(met=now)
        return True

    def succeeded(self, code: str, host: str) -> None:
        """A server answered."""
        self._faults.pop((code, host), None)

    def current(self) -> Sequence[SetupFault]:
        """The faults that still hold as far as is known, the oldest first."""
        recent = [fault for fault in self._faults.copy().values() if fault.is_recent(self._clock())]
        return sorted(recent, key=lambda fault: fault.since)


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
