"""The server process: from bundles to a socket, and a calm end."""

from __future__ import annotations

import math
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import FrameType
from typing import Optional

import uvicorn
from fastapi import FastAPI

from sentilora.artifacts import PathLike
from sentilora.errors import UserError
from sentilora.inference.bundle import Bundle
from sentilora.serving.app import create_app
from sentilora.serving.connections import protocol
from sentilora.serving.engine import Engine
from sentilora.serving.observation import log_as_json
from sentilora.serving.settings import ServingSettings


def serve(
    paths: Sequence[PathLike],
    settings: ServingSettings,
    host: str = "127.0.0.1",
    port: int = 8000,
    on_start: Callable[[str], None] = lambda _address: None,
    threads: Optional[int] = None,
    precision: Optional[float] = None,
) -> None:
    """Serve bundles over HTTP until SIGTERM or SIGINT, then answer what was accepted.

    Args:
        paths: Folders of the bundles.
        settings: Limits, keys and places.
        host: Address to listen on.
        port: 0 takes one that is free.
        on_start: Called with the server's address once it listens.
        threads: Workers of each bundle; by default one a core.
        precision: Wanted share of right answers among those that our own dialect and the page give: a text below the
            confidence that reached it on the validation texts is `uncertain` there. None answers every text.

    Raises:
        ModelError: A folder is no sound bundle, two adapters have one name, or one cannot reach the wanted precision.
        UserError: The address is taken or is not this machine's.
    """
    with ExitStack() as stack:
        bundles = []
        for path in paths:
            bundle = Bundle.open(path, threads=threads, capacity=settings.queue_tokens, spin=False, precision=precision)
            stack.callback(bundle.scheduler.close)
            bundle.graph.prepare()
            bundles.append(bundle)
        app = create_app(bundles, settings)
        listener = _listener(host, port)
        shown = f"[{host}]" if ":" in host else host
        on_start(f"http://{shown}:{listener.getsockname()[1]}")
        log_as_json()
        _Server(configured(app, settings), app.state.engine).run(sockets=[listener])


def configured(app: FastAPI, settings: ServingSettings) -> uvicorn.Config:
    """How uvicorn runs the application."""
    return uvicorn.Config(
        app,
        http=protocol(settings.deadline),
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(settings.deadline) + 1,
    )


class _Server(uvicorn.Server):
    """Says on SIGTERM that it is not ready, waits for load balancers to see it, and ends well; at once on SIGINT."""

    def __init__(self, config: uvicorn.Config, engine: Engine) -> None:
        super().__init__(config)
        self._engine = engine

    def handle_exit(self, sig: int, frame: Optional[FrameType]) -> None:
        if self._engine.draining:  # asked twice
            self.force_exit = sig == signal.SIGINT
            self.should_exit = True
            return
        self._engine.draining = True
        delay = self._engine.settings.drain_delay if sig == signal.SIGTERM else 0.0
        threading.Timer(delay, self._stop).start()

    def _stop(self) -> None:
        self.should_exit = True


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise UserError(f"cannot listen on {host}:{port}: {error.strerror}; choose another --host or --port") from None
    # asyncio does so only for sockets that were made with their protocol named. Connections inherit it; without it an
    # answer, which is written in two parts, waits up to 40 ms for an acknowledgement of the first.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
