"""A request id, a line in the log, the metrics and the security headers of every request."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import uuid
from contextvars import ContextVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sentilora.serving.metrics import Metrics

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_CLIENT_WENT_AWAY = 499

_request_id: ContextVar[str] = ContextVar("request_id", default="")
_logger = logging.getLogger("sentilora.serving")


class Observation:
    """ASGI middleware: the outermost, so that nothing escapes it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and write down what became of it: never what it said."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex
        _request_id.set(request_id)
        status = _CLIENT_WENT_AWAY

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.update({**_HEADERS, "X-Request-ID": request_id})
            await send(message)

        try:
            await self._app(scope, receive, observed)
        finally:
            seconds = time.perf_counter() - started
            endpoint = _endpoint_of(scope)
            self._metrics.count_request(endpoint, status, seconds)
            facts = {
                "method": scope["method"],
                "endpoint": endpoint,
                "status": status,
                "seconds": round(seconds, 4),
                "client": (scope.get("client") or ("",))[0],
            }
            _logger.info("request", extra={"facts": facts})


def _endpoint_of(scope: Scope) -> str:
    """The path that was asked for, as it was declared; a request may have been refused before it was found."""
    route = scope.get("route") or next(
        (each for each in scope["app"].routes if each.matches(scope)[0] is not Match.NONE), None
    )
    return str(getattr(route, "path", "other"))


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, message, the request's id where there is one, and the facts that came along."""
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if _request_id.get():
            line["request_id"] = _request_id.get()
        line.update(getattr(record, "facts", {}))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_as_json() -> None:
    """Write what sentilora and uvicorn log to standard error, one JSON object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name in ("sentilora", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
