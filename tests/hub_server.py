"""A local stand-in for the Hub's HTTP API: enough of it to list and download files, over a real socket."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"


_Server = TypeVar("_Server", bound=ThreadingHTTPServer)


class StandIn(ThreadingHTTPServer):
    """Serves folders as repositories: `{"models/owner/name": folder, "datasets/owner/name": folder}`."""

    def __init__(self, repositories: dict[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories = repositories
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: StandIn
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(send_body=True)

    def do_HEAD(self) -> None:
        self._answer(send_body=False)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, send_body: bool) -> None:
        path = unquote(self.path.partition("?")[0])
        self.server.requests.append(f"{self.command} {path}")
        status, content, headers = self._find(path)
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if send_body:
            self.wfile.write(content)

    def _find(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        for name, folder in self.server.repositories.items():
            kind, _, repository = name.partition("/")
            asked = f"/api/{kind}/{repository}"
            if path == asked or path.startswith(f"{asked}/revision/"):
                return self._information(repository, folder)
            if path.startswith(f"/api/{kind}/{repository}/tree/"):
                return self._tree(folder)
            prefix = "" if kind == "models" else f"{kind}/"
            start = f"/{prefix}{repository}/resolve/"
            if path.startswith(start):
                return self._file(folder / path[len(start) :].partition("/")[2])
        return 404, b'{"error":"Repository not found"}', {"X-Error-Code": "RepoNotFound"}

    def _information(self, repository: str, folder: Path) -> tuple[int, bytes, dict[str, str]]:
        siblings = [{"rfilename": str(path.relative_to(folder))} for path in _files(folder)]
        body = {"id": repository, "_id": "0", "sha": COMMIT, "private": False, "siblings": siblings}
        return 200, json.dumps(body).encode(), {"Content-Type": "application/json"}

    def _tree(self, folder: Path) -> tuple[int, bytes, dict[str, str]]:
        entries = [
            {"type": "file", "path": str(path.relative_to(folder)), "size": path.stat().st_size, "oid": _etag(path)}
            for path in _files(folder)
        ]
        return 200, json.dumps(entries).encode(), {"Content-Type": "application/json"}

    def _file(self, path: Path) -> tuple[int, bytes, dict[str, str]]:
        if not path.is_file():
            return 404, b"", {"X-Error-Code": "EntryNotFound"}
        return 200, path.read_bytes(), {"ETag": f'"{_etag(path)}"', "X-Repo-Commit": COMMIT}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _etag(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


def hub_stand_in(repositories: dict[str, Path]) -> AbstractContextManager[StandIn]:
    return running(StandIn(repositories))


@contextmanager
def running(server: _Server) -> Iterator[_Server]:
    """Serve from a thread of its own, as long as the block lasts."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
