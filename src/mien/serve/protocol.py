"""uvicorn's HTTP protocol with limits on headers, and on idle connections of one address."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

_MAX_HEADER_BYTES = 65_536

_Base: Any = AutoHTTPProtocol


class IdleConnections:
    """Bounds the idle connections of each address to ``most`` (0: any number).

    Idle is one without a request that is being read or answered. Where an address has more, the one
    that is idle longest is closed: a new user behind the same address finds room.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # In the order in which they became idle.
        self._idle: dict[str, dict[LimitedProtocol, None]] = {}

    def add(self, address: str, connection: LimitedProtocol) -> LimitedProtocol | None:
        """Notes an idle connection; returns the one to close for it, if any."""
        mine = self._idle.setdefault(address, {})
        mine[connection] = None
        return next(iter(mine)) if 0 < self._most < len(mine) else None

    def discard(self, address: str, connection: LimitedProtocol) -> None:
        """Forgets one that is closed, or has a request."""
        mine = self._idle.get(address, {})
        mine.pop(connection, None)
        if not mine:
            self._idle.pop(address, None)


class LimitedProtocol(_Base):  # type: ignore[misc]
    """Closes connections whose headers come too slowly or grow too large, or that are too many.

    uvicorn limits the pause between requests, but not how long headers may trickle in (the
    slow-loris attack). The limit, from the connection or the first byte of a later request to the
    end of the headers, is the attribute ``header_timeout_s`` of uvicorn's config; its attribute
    ``idle`` holds the :class:`IdleConnections`.
    """

    _timer: Any = None
    _bytes = 0
    _address = ""

    def connection_made(self, transport: Any) -> None:
        """Starts the clock."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._start()
        self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clock."""
        self._stop()
        self._wake()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Notes that nothing is asked of it, unless the next request has come already."""
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self._rest()

    def data_received(self, data: bytes) -> None:
        """Feeds the parser; the clock runs while nothing is being answered."""
        super().data_received(data)
        cycle = getattr(self, "cycle", None)
        upgraded = self.transport.get_protocol() is not self  # it is a WebSocket now
        if upgraded or (cycle is not None and not cycle.response_complete):
            self._stop()
            self._wake()
            return
        # Nothing is being answered: these bytes are headers, or the rest of a refused body.
        self._bytes += len(data)
        if cycle is None and self._bytes > _MAX_HEADER_BYTES:
            self.transport.close()
        elif self._timer is None:
            self._start()

    def _rest(self) -> None:
        eldest = self.config.idle.add(self._address, self)
        if eldest is not None:
            eldest._wake()
            eldest.transport.close()
            self.app_state["metrics"].rejections.labels("idle").inc()

    def _wake(self) -> None:
        self.config.idle.discard(self._address, self)

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
