"""One id that joins whatever happens because of one request, or in one run of a timer.

It is the one thing that travels beside the arguments: log lines, events and calls to Microsoft carry it, and nothing is
decided by it. A sign-in goes on under the id of the request that asked for its link.
"""

import uuid
from contextvars import ContextVar

_present: ContextVar[str | None] = ContextVar("correlation", default=None)


def correlation() -> str | None:
    """The id of what is being done now, if it has one."""
    return _present.get()


def correlate(identity: str | None) -> None:
    """From here on, in this task and those that it starts, what is done belongs to this id. None changes nothing."""
    if identity is not None:
        _present.set(identity)


def request_id() -> dict[str, str]:
    """The header for a call to Microsoft, which its logs and its errors name: `client-request-id` has to be a GUID.

    32 hexadecimal digits are one; any other id stands for a GUID made by name (RFC 9562 section 5.5, URL namespace).
    """
    identity = correlation()
    if identity is None:
        return {}
    try:
        return {"client-request-id": str(uuid.UUID(identity))}
    except ValueError:
        return {"client-request-id": str(uuid.uuid5(uuid.NAMESPACE_URL, identity))}
