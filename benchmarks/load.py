"""A light HTTP/1.1 client for loading a server: many connections in one thread, and little work a request."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Optional

_HEADERS_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Request:
    """One request, ready to be sent.

    Attributes:
        text: Number of the text that it asks for.
        content: Head and body.
        adapter: That it asks.
    """

    text: int
    content: bytes
    adapter: Optional[str] = None


@dataclass(frozen=True)
class Reply:
    """What came of a request.

    Attributes:
        request: The same.
        status: 0 where the connection could not be had, or ended before an answer.
        body: Of the answer.
        due: When the request was to be sent, by `time.perf_counter`.
        seconds: From then to the end of the answer.
    """

    request: Request
    status: int
    body: bytes
    due: float
    seconds: float

    @property
    def p_positive(self) -> float:
        """Of the only text."""
        predictions: list[dict[str, float]] = json.loads(self.body)["predictions"]
        return predictions[0]["p_positive"]


def post(path: str, body: Any, method: str = "POST", key: str = "") -> bytes:
    """A request's bytes."""
    content = json.dumps(body).encode()
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{authorization}"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


class Client:
    """Sends requests to a port of this machine, on as many connections as there are requests at once."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[_Connection] = []

    async def ask(self, request: Request, due: Optional[float] = None) -> Reply:
        """Send a request, on a connection that is kept for the next one."""
        due = time.perf_counter() if due is None else due
        try:
            connection = await self._connection()
            status, body = await connection.ask(request.content)
        except OSError:
            return Reply(request, 0, b"", due, time.perf_counter() - due)
        self._idle.append(connection)
        return Reply(request, status, body, due, time.perf_counter() - due)

    def close(self) -> None:
        """Close the idle connections."""
        for connection in self._idle:
            connection.close()

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                return connection
        loop = asyncio.get_running_loop()
        _, opened = await loop.create_connection(_Connection, "127.0.0.1", self._port)
        return opened


class _Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self.open = False
        self._received = b""
        self._answer: Optional[asyncio.Future[tuple[int, bytes]]] = None

    def ask(self, content: bytes) -> asyncio.Future[tuple[int, bytes]]:
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(content)
        return self._answer

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport
        self.open = True

    def connection_lost(self, error: Optional[Exception]) -> None:
        self.open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("the connection ended before an answer"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(_HEADERS_END)
        if not end or self._answer is None:
            return
        head = head.lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if len(body) >= length:
            self._received = b""
            self.open = b"connection: close" not in head
            self._answer.set_result((int(head.split(b" ", 2)[1]), body))


async def closed_loop(client: Client, requests: Iterable[Request], connections: int) -> list[Reply]:
    """Send all requests, so many at a time: each connection waits for its answer before it asks again."""
    waiting: Iterator[Request] = iter(requests)
    replies = []

    async def keep_asking() -> None:
        for request in waiting:
            replies.append(await client.ask(request))  # noqa: PERF401 - what came before an interruption is kept

    await asyncio.gather(*(keep_asking() for _ in range(connections)))
    return replies


async def open_loop(client: Client, requests: Iterable[Request], rate: float, seconds: float) -> list[Reply]:
    """Send requests at random moments (Poisson), whether answers come or not; wait for all of them."""
    asked = [
        asyncio.ensure_future(client.ask(request, due))
        async for request, due in _arrivals(cycle(requests), rate, seconds)
    ]
    return list(await asyncio.gather(*asked))


async def _arrivals(requests: Iterator[Request], rate: float, seconds: float) -> AsyncIterator[tuple[Request, float]]:
    moments = random.Random(0)  # noqa: S311 - arrivals, not secrets
    due = began = time.perf_counter()
    while due < began + seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        yield next(requests), due
        due += moments.expovariate(rate)
