"""HTTP connections of the page that do not wait forever for a request."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_S = 20.0  # a request has 16 KB at most


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 whose clients must send a whole request in 20 s, after the last answer or the start.

    Without this limit, which uvicorn lacks, some hundred connections that send nothing keep all
    others away. Headers are limited to 64 KB by h11.
    """

    request_s = REQUEST_S
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._start_timer()
        super().on_response_complete()

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(self.request_s, self._close_if_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close_if_slow(self) -> None:
        # A client that has sent its request may take its time to read the answer, a clip perhaps.
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self.transport.abort()
