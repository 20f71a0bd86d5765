"""Connections with an end: the time limit on what comes before a request, and after its answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as HttpProtocol
else:
    from uvicorn.protocols.http.auto import AutoHTTPProtocol as HttpProtocol


def protocol(seconds: float) -> type[asyncio.Protocol]:
    """HTTP as uvicorn speaks it, but a connection on which no request is under way is cut off after `seconds`.

    The application sees a request when all of its head has come, and forgets it when its answer is written. Without
    this, a client that sends half a head, goes on with a body that was refused, or does not read its answer would keep
    its connection, and what is buffered for it, for ever.
    """

    class Connection(HttpProtocol):
        _end: Optional[asyncio.TimerHandle] = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._watch()

        def connection_lost(self, exc: Optional[Exception]) -> None:
            super().connection_lost(exc)
            self._forget()

        def _watch(self) -> None:
            if self.cycle is not None and not self.cycle.response_complete:
                self._forget()  # a request is under way, which has its own deadline
            elif self._end is None:
                self._end = self.loop.call_later(seconds, self.transport.abort)

        def _forget(self) -> None:
            if self._end is not None:
                self._end.cancel()
                self._end = None

    return Connection
