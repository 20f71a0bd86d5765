"""The door: keys, size and time limits, clients that go away, and nothing of our failures to the outside."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Optional

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sentilora.serving.dialects import refusal
from sentilora.serving.keys import bearer, is_known
from sentilora.serving.refusals import Reason, Refused
from sentilora.serving.settings import ServingSettings

_OPEN = ("/health", "/ready")
_BODIES_READ_AND_DROPPED = 8  # so that a client that still sends gets its 413, and no broken connection

_logger = logging.getLogger("sentilora.serving")


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, settings: ServingSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or refuse it in its own dialect."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = asyncio.get_running_loop().time()
        answered = False

        async def tracked(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            self._check_key(scope)
            body = await self._body(receive)
            if body is not None:
                left = self._settings.deadline - (asyncio.get_running_loop().time() - started)
                await self._answer(scope, receive, tracked, body, left)
        except Refused as refused:
            if not answered:
                await refusal(scope["path"], refused)(scope, receive, send)
        except Exception:
            _logger.exception("a request failed")
            if not answered:
                broken = Refused(Reason.BROKEN, "something failed here; the server's log says what")
                await refusal(scope["path"], broken)(scope, receive, send)

    def _check_key(self, scope: Scope) -> None:
        settings = self._settings
        page = scope["method"] in ("GET", "HEAD") and (scope["path"] == "/" or scope["path"].startswith("/page/"))
        if not settings.api_keys or page or scope["path"] in _OPEN:
            return
        if not is_known(bearer(Headers(scope=scope).get("authorization", "")), settings.api_keys + settings.admin_keys):
            raise Refused(Reason.KEY, "a key is needed: Authorization: Bearer KEY")

    async def _body(self, receive: Receive) -> Optional[bytes]:
        """The whole body; None where the client went away before it was sent."""
        try:
            return await asyncio.wait_for(_read(receive, self._settings.max_body), self._settings.deadline)
        except asyncio.TimeoutError:
            raise Refused(Reason.SLOW, "the request came too slowly") from None

    async def _answer(self, scope: Scope, receive: Receive, send: Send, body: bytes, seconds: float) -> None:
        """Run the application until it has answered, the client goes away, or the time is up."""
        sent = False

        async def replay() -> Message:
            nonlocal sent
            if sent:
                await asyncio.Event().wait()  # `gone` below listens for the client's end
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        work = asyncio.ensure_future(self._app(scope, replay, send))
        gone = asyncio.ensure_future(_gone(receive))
        both: set[asyncio.Future[Any]] = {work, gone}
        try:
            await asyncio.wait(both, timeout=max(seconds, 0), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work
            elif not gone.done():
                raise Refused(Reason.LATE, f"no answer within {self._settings.deadline:g} s: send less, or try later")
        finally:
            for task in both:
                task.cancel()
            await asyncio.wait(both)


async def _read(receive: Receive, most: int) -> Optional[bytes]:
    body = bytearray()
    size = 0
    more = True
    while more and size <= most * _BODIES_READ_AND_DROPPED:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= most:
            body += chunk
        more = message.get("more_body", False)
    if size > most:
        raise Refused(Reason.TOO_LARGE, f"a request has at most {most:,} bytes")
    return bytes(body)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
