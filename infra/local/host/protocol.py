"""HTTP/1.1 as Kestrel implements it, where it differs from uvicorn with h11."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

# Larger than Kestrel's limits, so that requests over those are read and get their own statuses.
MAX_HEAD_BYTES = 1_000_000


class Connection(h11.Connection):
    """Omits `Transfer-Encoding` in responses to HEAD."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEAD_BYTES)
        self.is_head = False

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Remember the request's method."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self.is_head = event.method == b"HEAD"
        return event

    def send(self, event: h11.Event) -> bytes | None:  # type: ignore[override] # one signature for its overloads
        """Serialize an event."""
        output = super().send(event)
        if output and self.is_head and isinstance(event, h11.Response):
            return output.replace(b"\r\nTransfer-Encoding: chunked\r\n", b"\r\n")
        return output


class Protocol(H11Protocol):
    """One client's connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Use this connection class instead of uvicorn's."""
        self.conn = Connection()
        super().connection_made(transport)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - Kestrel gives no reason
        """Reject a request that is not HTTP, with an empty body."""
        headers = [("content-length", "0"), ("connection", "close")]
        for event in (h11.Response(status_code=400, headers=headers), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
