"""Connections of the demo: limits on headers, on time and on their number.

Uvicorn leaves these to a proxy: it waits for a request, and for its answer to be taken,
as long as the other side likes.
"""

from __future__ import annotations

import asyncio

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

_MOST_CONNECTIONS = 256
_MOST_HEADER_BYTES = 16 << 10
_WAITING_SECONDS = 10.0
"""For the header of a request."""
_TAKING_SECONDS = 60.0
"""For an answer to be taken."""
_REQUEST_SECONDS = 300.0
"""For a request from its header on: an upload's minute, its turn and its answer."""


def server_config(app: ASGIApp) -> uvicorn.Config:
    """Settings of a server that strangers may reach."""
    return uvicorn.Config(
        app,
        http=LimitedConnection,
        h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
        ws="none",
        lifespan="off",
        log_level="warning",
    )


class LimitedConnection(H11Protocol):
    """A connection that ends if the other side is too slow.

    Above 256 connections the oldest ends that is not waiting for its answer: whoever
    sends or reads slowly keeps nobody out.
    """

    _timer: asyncio.TimerHandle | None = None
    _is_asked = False

    def connection_made(  # type: ignore[override]
        self, transport: asyncio.Transport
    ) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._since = self.loop.time()
        self._wait(_WAITING_SECONDS)
        if len(self.connections) > _MOST_CONNECTIONS:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Give a request more time once its header is there."""
        super().data_received(data)
        if not self._is_asked and _is_asked(self):
            self._is_asked = True
            self._wait(_REQUEST_SECONDS)

    def on_response_complete(self) -> None:
        """Wait for the answer to be taken, and for the next request."""
        super().on_response_complete()
        self._is_asked = _is_asked(self)  # the next one may be there already
        self._since = self.loop.time()
        if self._is_asked:
            self._wait(_REQUEST_SECONDS)
        elif self.transport.get_write_buffer_size():
            self._wait(_TAKING_SECONDS)
        else:
            self._wait(_WAITING_SECONDS)

    def shutdown(self) -> None:
        """End with the server, which does not wait for uploads."""
        if self.conn.their_state is h11.SEND_BODY:
            self.transport.abort()
        else:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _wait(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _make_room(self) -> None:
        others = [
            connection
            for connection in self.connections
            if isinstance(connection, LimitedConnection) and not _is_at_work(connection)
        ]
        oldest = min(others, key=lambda connection: connection._since, default=self)
        self.connections.discard(oldest)  # as connection_lost does, a moment later
        oldest.transport.abort()


def _is_at_work(connection: LimitedConnection) -> bool:
    """Return whether a whole request has come, and is being answered."""
    return _is_asked(connection) and connection.conn.their_state is not h11.SEND_BODY


def _is_asked(connection: H11Protocol) -> bool:
    cycle = connection.cycle
    return cycle is not None and not cycle.response_complete
