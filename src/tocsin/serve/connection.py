"""Connections that do not wait for ever for the head of a request."""

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol


def patient(seconds: float) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol, with connections closed on which no request begins for so long, or twice.

    uvicorn waits without limit for the first request, and for the rest of a head of which a byte has come:
    a client could hold any number of connections for a byte each.
    """

    class Patient(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        _seen: Any = None
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self._timer = self.loop.call_later(seconds, self._look)

        def connection_lost(self, exc: Exception | None) -> None:
            if self._timer is not None:
                self._timer.cancel()
            super().connection_lost(exc)

        def _look(self) -> None:
            """Close the connection if nothing was asked since the last look, and nothing is being answered."""
            idle = self.cycle is None or self.cycle.response_complete
            if idle and self.cycle is self._seen:
                self.transport.close()
                return
            self._seen = self.cycle
            self._timer = self.loop.call_later(seconds, self._look)

    return Patient
