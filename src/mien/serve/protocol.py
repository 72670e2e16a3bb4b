"""uvicorn's HTTP protocol with a limit on the time and size of a request's headers."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

_MAX_HEADER_BYTES = 65_536

_Base: Any = AutoHTTPProtocol


class LimitedProtocol(_Base):  # type: ignore[misc]
    """Closes connections whose headers come too slowly or grow too large.

    uvicorn limits the pause between requests, but not how long headers may trickle in (the
    slow-loris attack). The limit, from the connection or the first byte of a later request to the
    end of the headers, is the attribute ``header_timeout_s`` of uvicorn's config.
    """

    _timer: Any = None
    _bytes = 0

    def connection_made(self, transport: Any) -> None:
        """Starts the clock."""
        super().connection_made(transport)
        self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clock."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feeds the parser; the clock runs while nothing is being answered."""
        super().data_received(data)
        if self.transport.get_protocol() is not self:  # it is a WebSocket now
            self._stop()
            return
        cycle = getattr(self, "cycle", None)
        if cycle is not None and not cycle.response_complete:
            self._stop()
            return
        # Nothing is being answered: these bytes are headers, or the rest of a refused body.
        self._bytes += len(data)
        if cycle is None and self._bytes > _MAX_HEADER_BYTES:
            self.transport.close()
        elif self._timer is None:
            self._start()

    def _start(self) -> None:
        self._timer = self.loop.call_later(self.config.header_timeout_s, self._too_slow)

    def _stop(self) -> None:
        self._bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        cycle = getattr(self, "cycle", None)
        idle = cycle is None or cycle.response_complete
        if idle and not self.transport.is_closing():
            self.transport.abort()
